import torch

from pcpo.synthetic.muon import Muon, orthogonalise


def test_singular_values_end_near_one_and_directions_stay():
    matrices = torch.randn(3, 24, 60, generator=torch.Generator().manual_seed(0))
    for stack in (matrices, matrices.mT):
        result = orthogonalise(stack)
        values = torch.linalg.svdvals(result)
        assert values.min() > 0.5
        assert values.max() < 1.3
        u, _, vh = torch.linalg.svd(stack, full_matrices=False)
        assert (
            torch.nn.functional.cosine_similarity(result.flatten(1), (u @ vh).flatten(1)).min()
            > 0.95
        )


def test_an_update_has_the_size_of_an_adamw_update_and_descends():
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(32, 32, generator=generator)
    matrix = torch.nn.Parameter(torch.zeros(32, 32))
    optimizer = Muon([matrix], lr=0.1, weight_decay=0.0)
    before = matrix.detach().clone()
    (matrix - target).square().sum().backward()
    optimizer.step()
    step = (matrix - before).detach()
    assert 0.1 * 0.1 < step.square().mean().sqrt() < 0.1 * 0.3
    assert (step * target).sum() > 0
