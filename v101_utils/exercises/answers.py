"""What the chapters' exercises are compared with, by name. Do them first: reading on is looking the answers up.

Each takes and gives what its exercise says. Where there is another way than that of the chapter's solution, or a library
that knows, it stands here, so that two sources must agree.
"""

import torch
from scipy.stats import wasserstein_distance
from torch import nn
from torch.nn import functional as F
from torchmetrics.functional.image import peak_signal_noise_ratio

from v101_utils.diffusion.denoiser import both
from v101_utils.diffusion.samplers import stride_variance
from v101_utils.gans.style_discriminator import minibatch_deviation
from v101_utils.runtime import multiply_adds
from v101_utils.style.statistics import gram, total_variation
from v101_utils.superres import ESPCN
from v101_utils.vae import kl_to_prior, reparameterise

# --- 01, GAN theory ---


def best_discriminator(log_p, log_q):
    return torch.sigmoid(log_p - log_q)


def push(x, w, b):
    return (1 - torch.sigmoid(x @ w + b))[:, None] * w


def carried(a, b):
    return torch.tensor(wasserstein_distance(a, b), dtype=torch.float32)


# --- 02, DCGAN ---


def padding_for(k, s):
    return (k - s) // 2


def fold(gamma, beta, mean, var):
    scale = gamma / (var + 1e-5).sqrt()
    return torch.stack([scale, F.batch_norm(torch.zeros(1, len(mean)), mean, var, gamma, beta)[0]])


def typical(latents):
    return F.normalize(latents.mean(0), dim=0) * latents.shape[1] ** 0.5


# --- 03, WGAN ---

on_the_line = carried


def critic_loss(real, fake, gradients, weight):
    return fake.mean() - real.mean() + weight * (gradients.square().sum((1, 2, 3)).sqrt() - 1).square().mean()


def one_sided(gradients, weight):
    return weight * (torch.linalg.vector_norm(gradients, dim=(1, 2, 3)).clamp(min=1) - 1).square().mean()


# --- 04, conditional GAN ---


def best_of(p, q, p_y, q_y):
    return 1 / (1 + (q_y / p_y)[:, None] * q / p)


def projection_score(features, weights, table, labels):
    return torch.einsum("bf,bf->b", features, table[labels] + weights)


def asked_given_recognised(table, frequencies):
    weighted = table.T * frequencies  # (recognised, asked)
    return (weighted / weighted.sum(1, keepdim=True)).diagonal()


# --- 05, StyleGAN ---


def adain(x, scale, shift):
    deviation, mean = torch.std_mean(x, dim=(2, 3), correction=0, keepdim=True)
    return scale[:, :, None, None] * (x - mean) / deviation + shift[:, :, None, None]


def truncated(ws, mean, psi, cutoff):
    return torch.cat([torch.lerp(mean, ws[:, :cutoff], psi), ws[:, cutoff:]], 1)


def deviation(x):
    return minibatch_deviation(x, group=len(x))[0, -1, 0, 0]


# --- 06, DDPM ---


def picture(x_t, eps_hat, alpha_bar):
    return both("eps", eps_hat, x_t, alpha_bar.sqrt(), (1 - alpha_bar).sqrt()).x0


def fresh_noise(alpha_bar_t, alpha_bar_s):
    return ((1 - alpha_bar_t / alpha_bar_s) * (1 - alpha_bar_s) / (1 - alpha_bar_t)).sqrt()


def hidden_noise(x_t, v_hat, alpha, sigma):
    return both("v", v_hat, x_t, alpha, sigma).eps


# --- 07, DDIM ---


def ddim_step(x_t, x0, *levels):
    return noisy_step(x_t, x0, torch.zeros_like(x_t), 0.0, *levels)


def noisy_step(x_t, x0, noise, eta, alpha_t, sigma_t, alpha_s, sigma_s):
    fresh = eta * sigma_s / sigma_t * stride_variance(alpha_t, sigma_t, alpha_s, sigma_s) ** 0.5
    eps = both("x0", x0, x_t, alpha_t, sigma_t).eps
    return alpha_s * x0 + (sigma_s**2 - fresh**2).sqrt() * eps + fresh * noise


def blend(first, second, third):
    return (first + second + third) / 3**0.5


# --- 08, guidance ---


def paper(eps_label, eps_null, w):
    return torch.lerp(eps_null, eps_label, 1 + w)


def classifier_gradient(x0_label, x0_null, alpha, sigma):
    return alpha * (x0_label - x0_null) / sigma**2


def towards_and_away(eps_y, eps_z, eps_null, towards, away):
    return eps_null + towards * (eps_y - eps_null) - away * (eps_z - eps_null)


# --- 09, latent diffusion ---


def fewer(side, down, channels):
    return 3 * down**2 / channels


def scaled(z):
    return (z - z.mean((0, 2, 3), keepdim=True)) / z.std((0, 2, 3), keepdim=True)


def attend(q, k, v):
    return F.scaled_dot_product_attention(q[None], k[None], v[None])[0]


# --- 10, score SDEs ---


def g_squared(beta, B):
    return -beta * torch.expm1(-2 * B)


def langevin(x, pull, z, r):
    delta = 2 * (r * z.norm(dim=1).mean() / pull.norm(dim=1).mean()) ** 2
    return x + delta * pull + (2 * delta).sqrt() * z


def heun_step(slope, u, rho, to):
    first = slope(u, rho)
    return u + (to - rho) / 2 * (first + slope(u + (to - rho) * first, to))


# --- 11, VAE ---


def kl_of_means(mean):
    return kl_to_prior(mean, torch.zeros_like(mean)).sum(1)


def active(means):
    return (means.var(0) > 0.01).sum()


def warm(mean, log_var, noise, temperature):
    return reparameterise(mean, log_var, temperature * noise)


# --- 12, style transfer ---

my_gram, my_variation = gram, total_variation


def guided_gram(features, mask):
    return gram(features[:, :, mask > 0][..., None])


# --- 13, fast style ---

instance_norm = F.instance_norm


def restyled(content, style):
    return adain(content, *torch.std_mean(style, (2, 3), correction=0))


def blended_gamma(weights, gamma):
    return torch.einsum("bs,sc->bc", weights, gamma).view(len(weights), -1, 1, 1)


# --- 14, super-resolution ---


def psnr(made, truth):
    return peak_signal_noise_ratio(made, truth, data_range=(-1, 1), reduction="none", dim=(1, 2, 3))


def shuffle(channels, r):
    return F.pixel_shuffle(channels, int(r))


def cost(kernels, widths, r):
    low, high = ESPCN(tuple(map(int, widths))).layers(int(r))  # its kernels are 5, 3 and 3, as the exercise's
    return torch.tensor(multiply_adds(nn.Sequential(*low, *high), torch.zeros(1, 1, 8, 8)) / (8 * int(r)) ** 2)
