"""Requests made from the API's own document: nothing is a 5xx, and every answer is as documented.

A fixed seed and few requests by default. For a longer run:

    SCHEMATHESIS_EXAMPLES=500 SCHEMATHESIS_SEED=7 pytest tests/conformance/test_schemathesis.py
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis import Config, HookContext, Response
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.config import GenerationConfig, ProjectConfig, ProjectsConfig
from schemathesis.generation.feedback import FeedbackSources
from schemathesis.pytest._test_builder import build_operation_test
from schemathesis.specs.openapi import checks

from muniment.server.openapi import whole_document
from tests.support.issuer import running_issuer
from tests.support.likely import NOWHERE, AnyCase, Seeded, harmless, lead, seed, with_examples
from tests.support.server_process import TOKEN, ServerProcess

EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "6"))
SEED = int(os.environ.get("SCHEMATHESIS_SEED", "20260701"))

pytestmark = [pytest.mark.slow, pytest.mark.timeout(max(300, EXAMPLES * 60))]

_config = Config(
    seed=SEED,
    projects=ProjectsConfig(
        default=ProjectConfig(generation=GenerationConfig(max_examples=EXAMPLES))
    ),
)
DOCUMENT = with_examples(whole_document())
schema = schemathesis.openapi.from_dict(DOCUMENT, config=_config)
OPERATION_IDS = sorted(
    details["operationId"] for methods in DOCUMENT["paths"].values() for details in methods.values()
)
load_all_checks()
#: What requests are led to, once there is a registry: they are described before it is started.
registries: list[Seeded] = []
#: What an administrator was answered, by operation and status.
answers: Counter[tuple[str, int]] = Counter()


@schema.hook
def flatmap_case(context: HookContext, case: AnyCase) -> st.SearchStrategy[AnyCase]:
    return lead(registries[-1], case)


@schema.hook
def filter_case(context: HookContext, case: AnyCase) -> bool:
    return harmless(registries[-1].victims if registries else (), case)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    home = tmp_path_factory.mktemp("fuzzed")
    with running_issuer() as issuer:
        environ = {"MUNIMENT_OUTBOUND_PRIVATE": issuer.host, "MUNIMENT_FETCH_HOSTS": NOWHERE}
        with ServerProcess(home, environ=environ) as server:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("MUNIMENT_STATE_HOME", str(server.home / "state"))
                registries.append(seed(server.url, TOKEN, server.home, issuer))
            yield server
    asked = {name for name, _ in answers}
    if len(asked) > len(OPERATION_IDS) / 2:  # not when a single one was picked
        missed = asked - {name for name, status in answers if status < 300}
        seen = {n: sorted((s, c) for (m, s), c in answers.items() if m == n) for n in missed}
        assert len(missed) < len(asked) / 8, f"requests got nowhere: {seen}"


@pytest.fixture(scope="module")
def connection() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


def ask(case: AnyCase, url: str, token: str, connection: requests.Session) -> Response:
    return case.call_and_validate(
        base_url=url,
        session=connection,
        headers={"Authorization": f"Bearer {token}"},
        allow_redirects=False,
        checks=[
            not_a_server_error,
            checks.status_code_conformance,
            checks.content_type_conformance,
            checks.response_schema_conformance,
        ],
    )


def make_test(role: str, name: str) -> Any:
    """Return the test of one operation, for one role."""

    def every_answer_is_as_documented(
        registry: ServerProcess, connection: requests.Session
    ) -> None:
        def one(case: AnyCase) -> None:
            answer = ask(case, registry.url, registries[-1].tokens[role], connection)
            if role == "admin" and case.method.upper() == case.operation.method.upper():
                answers[name, answer.status_code] += 1

        build_operation_test(
            config=schema.config,
            operation=schema.find_operation_by_id(name),
            test_func=one,
            given_kwargs={},
            feedback=FeedbackSources(),
        )()

    return every_answer_is_as_documented


# Not `schema.parametrize()`: it makes all requests of all operations when tests are collected,
# which is half a minute and gigabytes in each process of pytest-xdist.
for _name in OPERATION_IDS:
    globals()[f"test_an_administrator_calls_{_name}"] = make_test("admin", _name)
    globals()[f"test_a_viewer_calls_{_name}"] = make_test("viewer", _name)


def test_there_is_a_test_of_every_operation() -> None:
    assert len(OPERATION_IDS) == len(list(schema.get_all_operations()))
    assert len({name for name in globals() if "_calls_" in name}) == 2 * len(OPERATION_IDS)
