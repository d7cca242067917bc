"""Several pictures in one request."""

from __future__ import annotations

import httpx
import numpy as np
from tests.unit.serving.server.asking import problem
from tests.unit.serving.support import noise, poisoned

from identity_masker.faces.decode import Limits, decode
from identity_masker.serving import bundle
from identity_masker.serving.pictures import encode
from identity_masker.serving.problem import Problem


def bundle_of(http: httpx.Client, kind: str, entries: dict[str, bytes], **headers: str) -> httpx.Response:
    content = bundle.pack(kind, [bundle.Entry(*entry) for entry in entries.items()])
    return http.post("/v1/mask?key=k", content=content, headers={"content-type": kind, **headers})


def test_an_archive_comes_back_as_one_and_a_bad_picture_fails_alone(http: httpx.Client) -> None:
    files = {
        "a.png": encode(noise(24), "PNG"), "in/b.png": encode(noise(40, 1), "PNG"), "bad.png": b"nonsense",
        "poison.png": encode(poisoned(), "PNG"),
    }  # fmt: skip
    for kind in (bundle.ZIP, bundle.TAR):
        answer = bundle_of(http, kind, files)
        assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
        assert (answer.headers["x-masked"], answer.headers["x-failed"]) == ("2", "2")
        got = dict(bundle.unpack(kind, answer.content, bundle.BundleLimits(9, 1 << 20, 1 << 20)))
        assert list(got) == ["a.png", "in/b.png", "bad.png.problem.json", "poison.png.problem.json"]
        assert np.array_equal(decode(got["a.png"], Limits()), 255 - noise(24))
        assert np.array_equal(decode(got["in/b.png"], Limits()), 255 - noise(40, 1))
        told = Problem.model_validate_json(got["bad.png.problem.json"])
        assert (told.status, told.reason, told.request_id) == (422, "not_an_image", answer.headers["x-request-id"])
        assert Problem.model_validate_json(got["poison.png.problem.json"]).reason == "masking_failed"


def test_a_form_with_several_pictures_comes_back_as_a_zip_in_the_format_that_is_asked_for(http: httpx.Client) -> None:
    files = [("faces", (f"{n}.png", encode(noise(seed=n), "PNG"), "image/png")) for n in range(3)]
    answer = http.post("/v1/mask", files=files, headers={"accept": "image/webp"})
    got = bundle.unpack(bundle.ZIP, answer.content, bundle.BundleLimits(9, 1 << 20, 1 << 20))
    assert [entry.name for entry in got] == ["0.webp", "1.webp", "2.webp"]
    assert all(entry.content[8:12] == b"WEBP" for entry in got)


def test_a_bundle_without_one_picture_is_an_error_that_says_why(http: httpx.Client) -> None:
    answer = bundle_of(http, bundle.ZIP, {"a.txt": b"words", "b.png": encode(noise(8), "PNG")})
    assert "not_an_image: 1, too_small: 1" in str(problem(answer, 422, "nothing_masked")["detail"])
    problem(http.post("/v1/mask", content=b"PK", headers={"content-type": bundle.ZIP}), 422, "bundle_unreadable")
    broken = {"content-type": "multipart/form-data; boundary=x"}
    problem(http.post("/v1/mask", content=b"--y\r\n", headers=broken), 422, "bundle_unreadable")
    nameless = {"content-type": "multipart/form-data"}
    problem(http.post("/v1/mask", content=b"x", headers=nameless), 422, "bundle_unreadable")
