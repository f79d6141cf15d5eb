"""The schedulers of diffusers, an independent implementation to compare with."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what its own imports warn of is not ours to mend
    from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler

__all__ = ["DDIMScheduler", "DDPMScheduler", "DPMSolverMultistepScheduler"]
