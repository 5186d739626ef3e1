"""Discrete hashing's closed forms: against solvers and brute force, and the objective that they never raise."""

from itertools import pairwise, product

import numpy as np
import torch
from torch import Tensor

from sbir.losses.label_codes import (
    code_error,
    discrete_objective,
    instance_triplet,
    label_projection,
    nearest_codes,
    other_instance,
)


def problem(seed: int, sizes: tuple[int, int] = (23, 11)) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Outputs and labels of two sides of different sizes, and a projection (5, 4); class 4 has no row."""
    draw = torch.Generator().manual_seed(seed)
    outputs = [3 * torch.randn(size, 4, generator=draw) for size in sizes]
    labels = [torch.randint(0, 4, (size,), generator=draw) for size in sizes]
    return outputs, labels, torch.randn(5, 4, generator=draw)


def one_hot(labels: Tensor) -> np.ndarray:
    return np.asarray(np.eye(5)[labels.numpy()])


def test_the_projection_is_the_ridge_solution_of_both_sides() -> None:
    outputs, labels, _ = problem(0)
    codes = [out.sign() for out in outputs]
    y, b = np.concatenate([one_hot(one) for one in labels]), np.concatenate([code.numpy() for code in codes])
    stacked = np.linalg.lstsq(np.concatenate([y, np.eye(5)]), np.concatenate([b, np.zeros((5, 4))]), rcond=None)[0]
    np.testing.assert_allclose(label_projection(codes, labels, 5).numpy(), stacked, atol=1e-6)


def test_with_the_same_labels_on_both_sides_it_is_the_sources_formula() -> None:
    outputs, (labels, _), _ = problem(1, (17, 17))
    photo, sketch = (out.sign() for out in outputs)
    y = torch.from_numpy(one_hot(labels)).float()
    source = torch.linalg.solve(2 * y.T @ y + torch.eye(5), y.T @ (photo + sketch))
    assert torch.allclose(label_projection([photo, sketch], [labels, labels], 5), source, atol=1e-6)


def test_the_nearest_codes_are_the_best_of_all_codes() -> None:
    outputs, labels, projection = problem(2)
    for weight in (1e-5, 0.3, 10.0):
        found = nearest_codes(outputs[0], labels[0], projection, weight)
        for code, out, label in zip(found, outputs[0], labels[0], strict=True):
            costs = {
                bits: float((torch.tensor(bits) - projection[label]).square().sum())
                + weight * float((torch.tensor(bits) - out).square().sum())
                for bits in product((-1.0, 1.0), repeat=4)
            }
            assert costs[tuple(code.tolist())] <= min(costs.values()) + 1e-4


def test_no_closed_form_step_raises_the_objective_and_they_come_to_rest() -> None:
    for seed, weight in product(range(5), (1e-5, 0.1, 5.0)):
        outputs, labels, projection = problem(seed)
        codes = [out.sign() for out in outputs[::-1]]
        codes = [code[torch.arange(len(out)) % len(code)] for code, out in zip(codes, outputs, strict=True)]
        values = [discrete_objective(codes, outputs, labels, projection, weight)]
        for _ in range(6):
            codes = [nearest_codes(out, own, projection, weight) for out, own in zip(outputs, labels, strict=True)]
            values.append(discrete_objective(codes, outputs, labels, projection, weight))
            projection = label_projection(codes, labels, 5)
            values.append(discrete_objective(codes, outputs, labels, projection, weight))
        assert all(after <= before + 1e-4 for before, after in pairwise(values))
        assert torch.allclose(values[-1], values[-2])
        assert values[1] < values[0]


def test_the_objective_is_its_definition_entry_by_entry() -> None:
    outputs, labels, projection = problem(3, (3, 2))
    codes = [out.sign() for out in outputs]
    expected = float((projection**2).sum())
    for code, out, own in zip(codes, outputs, labels, strict=True):
        for row, bit in product(range(len(code)), range(4)):
            expected += float(code[row, bit] - projection[own[row], bit]) ** 2
            expected += 0.3 * float(code[row, bit] - out[row, bit]) ** 2
    assert abs(float(discrete_objective(codes, outputs, labels, projection, 0.3)) - expected) < 1e-3


def test_the_triplet_is_the_sources_loop() -> None:
    photo, sketch, _ = torch.randn(3, 6, 8, generator=torch.Generator().manual_seed(4)).unbind()
    other = torch.tensor([3, 0, -1, 5, 1, 2])
    expected = 0.0
    for row, k in enumerate(other.tolist()):
        if k >= 0:
            near, far = ((photo[row] - sketch[at]).pow(2).sum().item() for at in (row, k))
            expected += max(0.0, 20 + near - far) / 6
    assert abs(instance_triplet(photo, sketch, other, 20.0).item() - expected) < 1e-4
    assert abs(code_error(photo, sketch).item() - (photo - sketch).pow(2).sum().item() / 6) < 1e-4


def test_the_other_row_shows_another_thing_and_every_such_row_is_drawn() -> None:
    torch.manual_seed(0)
    instances = torch.tensor([7, 7, 3, -1, -1, 3])
    seen: list[set[int]] = [set() for _ in instances]
    for _ in range(200):
        for row, other in enumerate(other_instance(instances).tolist()):
            seen[row].add(other)
    assert seen == [{2, 3, 4, 5}, {2, 3, 4, 5}, {0, 1, 3, 4}, {0, 1, 2, 4, 5}, {0, 1, 2, 3, 5}, {0, 1, 3, 4}]
