"""A linear patch autoencoder in closed form, with the interface that diffusers pipelines expect.

A convolutional autoencoder does not train in CPU seconds; the principal components of 8 x 8
patches need one eigendecomposition and reconstruct drawings at about 30 dB. Importing this module
is enough for `DiffusionPipeline.from_pretrained` to find the class again.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput

from pcpo.synthetic.drawing import from_uint8


@dataclass(frozen=True)
class PointLatent:
    """A distribution without spread, so that code written for a VAE's posterior works."""

    mean: torch.Tensor

    def sample(self, generator: torch.Generator | None = None) -> torch.Tensor:
        return self.mean

    def mode(self) -> torch.Tensor:
        return self.mean


@dataclass(frozen=True)
class EncoderOutput:
    latent_dist: PointLatent


class PatchLinearVAE(ModelMixin, ConfigMixin):
    """Principal components of image patches, partially whitened.

    Images are float (B, 3, H, W) in [-1, 1]. Latents are (B, components / fold^2,
    fold H / patch, fold W / patch): `fold` = 1 keeps one position per patch (the Stable Diffusion
    UNet here), `fold` = 2 spreads the components over 2 x 2 positions, which is what models that
    put 2 x 2 latent positions into one token (Stable Diffusion 3, FLUX) undo again.
    """

    @register_to_config
    def __init__(
        self,
        patch: int = 8,
        components: int = 32,
        fold: int = 1,
        # Only its length is read: pipelines take 2 ** (length - 1) as the pixels per latent.
        block_out_channels: tuple[int, ...] = (1, 1, 1, 1),
        latent_channels: int = 32,
        scaling_factor: float = 1.0,
        shift_factor: float = 0.0,
    ) -> None:
        super().__init__()
        values = 3 * patch * patch
        self.register_buffer("mean", torch.zeros(values))
        self.register_buffer("basis", torch.zeros(values, components))  # orthonormal columns
        self.register_buffer("scale", torch.ones(components))

    @classmethod
    def fit(
        cls,
        images: torch.Tensor,
        patch: int = 8,
        components: int = 32,
        fold: int = 1,
        whitening: float = 0.5,
    ) -> PatchLinearVAE:
        """The autoencoder of uint8 `images` (N, 3, H, W).

        `whitening` = 0 keeps the components' variances, 1 makes them equal; the latents' mean
        square is 1 either way.
        """
        pixels_per_latent = patch // fold
        vae = cls(
            patch=patch,
            components=components,
            fold=fold,
            block_out_channels=(1,) * pixels_per_latent.bit_length(),
            latent_channels=components // fold**2,
        )
        patches = vae._to_patches(from_uint8(images)).flatten(0, 2).double()
        mean = patches.mean(dim=0)
        covariance = torch.cov((patches - mean).T)
        variance, vectors = torch.linalg.eigh(covariance)
        variance, vectors = variance.flip(0)[:components], vectors.flip(1)[:, :components]
        # An eigenvector's sign is arbitrary: fix it, so that every machine gets the same latents.
        peak = vectors.abs().argmax(dim=0)
        vectors = vectors * vectors.gather(0, peak[None]).sign()
        scale = variance.sqrt() ** whitening
        scale = scale * (variance / scale**2).mean().sqrt()
        vae.mean.copy_(mean)
        vae.basis.copy_(vectors)
        vae.scale.copy_(scale)
        return vae.eval()

    def encode(self, images: torch.Tensor, return_dict: bool = True) -> EncoderOutput | tuple:
        latents = (self._to_patches(images) - self.mean) @ self.basis / self.scale
        latents = latents.permute(0, 3, 1, 2).contiguous()
        if self.config.fold > 1:
            latents = torch.nn.functional.pixel_shuffle(latents, self.config.fold)
        output = EncoderOutput(PointLatent(latents))
        return output if return_dict else (output.latent_dist,)

    def decode(
        self,
        latents: torch.Tensor,
        return_dict: bool = True,
        generator: torch.Generator | None = None,
    ) -> DecoderOutput | tuple:
        if self.config.fold > 1:
            latents = torch.nn.functional.pixel_unshuffle(latents, self.config.fold)
        patches = (latents.permute(0, 2, 3, 1) * self.scale) @ self.basis.T + self.mean
        images = self._from_patches(patches)
        return DecoderOutput(sample=images) if return_dict else (images,)

    def _to_patches(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> (B, H / patch, W / patch, 3 patch^2)."""
        channels_first = torch.nn.functional.pixel_unshuffle(images, self.config.patch)
        return channels_first.permute(0, 2, 3, 1)

    def _from_patches(self, patches: torch.Tensor) -> torch.Tensor:
        channels_first = patches.permute(0, 3, 1, 2)
        return torch.nn.functional.pixel_shuffle(channels_first, self.config.patch)
