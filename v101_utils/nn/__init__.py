"""Parts that several models share."""

from v101_utils.nn.attention import CrossAttention, SelfAttention
from v101_utils.nn.conditional_norm import ConditionalNorm
from v101_utils.nn.padding import ReflectConv, reflect
from v101_utils.nn.residual import ResidualBlock
from v101_utils.nn.time_embedding import sinusoidal_embedding
from v101_utils.nn.unet import UNet

__all__ = ["ConditionalNorm", "CrossAttention", "ReflectConv", "ResidualBlock", "SelfAttention", "UNet", "reflect", "sinusoidal_embedding"]
