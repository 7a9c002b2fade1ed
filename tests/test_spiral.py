"""Spirals against a naive walk, and independent of how vertices are numbered."""

import numpy as np
import pytest
import trimesh

from emoface.spiral import ordered_neighbours, spirals


def naive_neighbours(faces, positions, vertex):
    """Walk the fan around one vertex with dictionaries; fans start as the docstring says."""
    follow = {}
    for face in faces:
        for i in range(3):
            if face[i] == vertex:
                follow[int(face[(i + 1) % 3])] = int(face[(i + 2) % 3])
    everyone = set(follow) | set(follow.values())
    preceded = set(follow.values())

    def preference(n):
        direction = np.round(positions[n] - positions[vertex], 9)
        return (n in preceded, -direction[1], -direction[2], -direction[0])

    ordered, todo, current = [], sorted(everyone, key=preference), None
    while len(ordered) < len(everyone):
        current = follow.get(current) if current is not None else None
        if current is None or current in ordered:
            current = next(n for n in todo if n not in ordered)
        ordered.append(current)
    return ordered


def naive_spiral(faces, positions, vertex, length, dilation):
    reach = (length - 1) * dilation + 1
    walk, parent, head = [vertex], [None], 0
    while len(walk) < reach and head < len(walk):
        ring = naive_neighbours(faces, positions, walk[head])
        start = ring.index(parent[head]) if parent[head] is not None else 0
        for n in ring[start:] + ring[:start]:
            if n not in walk and len(walk) < reach:
                walk.append(n)
                parent.append(walk[head])
        head += 1
    return (walk + [vertex] * (reach - len(walk)))[::dilation]


def meshes():
    sphere = trimesh.creation.icosphere(subdivisions=1)
    yield "closed", sphere.faces, np.asarray(sphere.vertices)
    open_faces = sphere.faces[sphere.triangles_center[:, 1] < 0.5]
    yield "open border and isolated vertices", open_faces, np.asarray(sphere.vertices)
    two = np.concatenate([sphere.faces, np.array([[0, 1, 2]]) + len(sphere.vertices)])
    tiny = np.array([[3.0, 0, 0], [3.1, 0, 0], [3.0, 0.1, 0]])
    yield "two components", two, np.concatenate([sphere.vertices, tiny])
    bow = np.array([[0, 1, 2], [0, 3, 4]])
    yield "two fans in one vertex", bow, np.array([[0, 0, 0], [1, 0.1, 0], [1, 1, 0], [-1, 0, 0], [-1, -1, 0.0]])


@pytest.mark.parametrize("name,faces,positions", list(meshes()), ids=lambda x: x if isinstance(x, str) else "")
@pytest.mark.parametrize("length,dilation", [(9, 1), (7, 2)])
def test_equals_naive_walk(name, faces, positions, length, dilation):
    table = spirals(faces, positions, length=length, dilation=dilation)
    for vertex in range(len(positions)):
        assert table[vertex].tolist() == naive_spiral(faces, positions, vertex, length, dilation), (name, vertex)


def test_relabelling_vertices_relabels_spirals():
    mesh = trimesh.creation.icosphere(subdivisions=2)
    rng = np.random.default_rng(0)
    positions = np.asarray(mesh.vertices) + rng.normal(size=mesh.vertices.shape) * 1e-3
    order = rng.permutation(len(positions))  # new vertex i is old vertex order[i]
    new_of_old = np.argsort(order)
    table = spirals(mesh.faces, positions, length=9, dilation=2)
    relabelled = spirals(new_of_old[rng.permutation(mesh.faces)], positions[order], length=9, dilation=2)
    assert np.array_equal(order[relabelled], table[order])


def test_neighbours_turn_counter_clockwise():
    mesh = trimesh.creation.icosphere(subdivisions=2)
    ring, degree = ordered_neighbours(mesh.faces, np.asarray(mesh.vertices))
    for vertex in range(len(mesh.vertices)):
        around = mesh.vertices[ring[vertex, : degree[vertex]]] - mesh.vertices[vertex]
        turn = np.cross(around, np.roll(around, -1, axis=0)).sum(0)
        assert turn @ mesh.vertices[vertex] > 0  # the sphere's normal


def test_embedded_head_has_full_spirals():
    from emoface.head import load_head

    head = load_head(0)
    table = spirals(head.skin_faces, head.skin_template.astype(float), length=9, dilation=2)
    assert table.shape == (4326, 9)
    assert all(len(set(row)) == 9 for row in table.tolist())


def test_refuses_nonsense():
    with pytest.raises(ValueError, match="at least 1"):
        spirals(np.array([[0, 1, 2]]), np.eye(3), length=0)
