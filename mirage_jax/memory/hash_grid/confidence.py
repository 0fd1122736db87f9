"""Confidence: a logistic of what a reading knows about itself."""

import jax
import jax.numpy as jnp


def estimate(config, share, samples, opacity, depth, hits):
  """Probability that colour and depth of a pixel are right, `[r]`."""
  bias, opaque, sureness, spread, generated = config.confidence
  spread_share = (share * samples.spread).sum(-1) / jnp.maximum(depth, 0.1)
  logit = (
    bias
    + opaque * opacity
    + sureness * (share * samples.sureness).sum(-1)
    + spread * jnp.clip(spread_share / 0.05, 0, 3)
    + generated * (share * samples.generated).sum(-1)
  )
  return jax.lax.stop_gradient(opacity * jax.nn.sigmoid(logit))
