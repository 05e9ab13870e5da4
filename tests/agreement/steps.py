"""One comparison for all samplers: a step, its density, their log-ratios, and its gradient."""

from pcpo.objectives import matching_log_ratio
from tests.agreement.inputs import distance, gradient, latents, step_of
from tests.agreement.originals import log_density


def assert_steps_agree(sampler, weights, gaussian, shape, *, x_next, log_prob, ratio, slope):
    """At every step of `sampler`, on random inputs of latent `shape`, in float32.

    gaussian: (step, x, prediction) -> (mean, std) as the original has them. weights `(T,)`: native.
    Limits: x_next, log_prob and ratio (log-ratio) are differences, slope (gradient of the
    log-probability with respect to the prediction) is one over the largest entry.
    """
    x, prediction, noise, direction = latents(4, shape)
    moved, largest = prediction + 0.02 * direction, 0.0
    for i in range(len(sampler)):
        mean, std = gaussian(i, x, prediction)
        theirs = mean + std * noise
        ours = sampler.step(step_of(i), x, prediction, noise)
        assert (ours - theirs).abs().max() < x_next

        old = log_density(theirs, mean, std)
        own_old = sampler.log_prob(step_of(i), x, prediction, theirs)
        assert (own_old - old).abs().max() < log_prob

        log_ratio = log_density(theirs, gaussian(i, x, moved)[0], std) - old
        largest = max(largest, float(log_ratio.abs().max()))
        own = sampler.log_prob(step_of(i), x, moved, theirs) - own_old
        matched = matching_log_ratio(moved, prediction, noise, weights[i].float())
        assert (own - log_ratio).abs().max() < ratio
        assert (matched - log_ratio).abs().max() < ratio

        def original(p, i=i, theirs=theirs, std=std):
            return log_density(theirs, gaussian(i, x, p)[0], std)

        def mine(p, i=i, theirs=theirs):
            return sampler.log_prob(step_of(i), x, p, theirs)

        assert distance(gradient(mine, moved), gradient(original, moved)) < slope
    assert largest > 100 * ratio  # or the limit would say nothing
