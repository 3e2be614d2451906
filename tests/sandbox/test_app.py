from __future__ import annotations

from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import orjson
import pytest

from connector.sandbox.clock import VirtualClock
from connector.sandbox.faults import Endpoint
from connector.sandbox.servers import Sandbox
from connector.sandbox.settings import JOB, SERVICE_PRINCIPAL, SandboxSettings
from connector.vocabulary.limits import Limit
from tests.kit.servers import MakeSandbox
from tests.sandbox.wire import SCIM, bulk, caller, identity_url, person, token, upload

LOG = "/v1.0/auditLogs/provisioning"


def _error(answer: httpx.Response) -> tuple[int, str, str]:
    """Status, code and message, once the answer is known to be shaped as Graph's errors are."""
    body = answer.json()
    assert body == {
        "error": {
            "code": body["error"]["code"],
            "message": body["error"]["message"],
            "innerError": {
                "date": body["error"]["innerError"]["date"],
                "request-id": answer.headers["request-id"],
                "client-request-id": answer.headers["client-request-id"],
            },
        }
    }
    return answer.status_code, body["error"]["code"], body["error"]["message"]


def test_an_upload_is_accepted_with_an_empty_body_and_a_location_that_leads_to_its_events(sandbox: Sandbox) -> None:
    with caller(sandbox) as client:
        answer = client.post(
            sandbox.endpoint,
            content=orjson.dumps(bulk(person("1"))),
            headers=SCIM | {"client-request-id": "8d2f"},
        )
        assert (answer.status_code, answer.content) == (202, b"")
        assert dict(answer.headers) == {
            "location": f"{sandbox.base_url}{LOG}/?$filter=jobid%20eq%20'{JOB}'",
            "content-length": "0",
            "request-id": answer.headers["request-id"],
            "client-request-id": "8d2f",
            "date": answer.headers["date"],
        }
        assert abs(parsedate_to_datetime(answer.headers["date"]) - sandbox.clock.now()) < timedelta(seconds=5)
        log = client.get(answer.headers["location"]).json()
    assert (log["@odata.context"], [event["sourceIdentity"]["id"] for event in log["value"]]) == (
        f"{sandbox.base_url}/v1.0/$metadata#auditLogs/provisioning",
        ["1"],
    )


@pytest.mark.parametrize("media_type", ["application/scim+json; charset=utf-8", "APPLICATION/SCIM+JSON"])
def test_the_media_type_may_have_parameters_and_any_case(sandbox: Sandbox, media_type: str) -> None:
    with caller(sandbox) as client:
        body = orjson.dumps(bulk(person("1")))
        assert client.post(sandbox.endpoint, content=body, headers={"content-type": media_type}).status_code == 202


def test_the_beta_path_is_served_too(sandbox: Sandbox) -> None:
    with caller(sandbox) as client:
        body = orjson.dumps(bulk(person("1")))
        assert client.post(sandbox.endpoint.replace("v1.0", "beta"), content=body, headers=SCIM).status_code == 202
        assert len(client.get("/beta/auditLogs/provisioning").json()["value"]) == 1


@pytest.mark.parametrize("headers", [{}, {"content-type": "application/json"}, {"content-type": "text/plain"}])
def test_a_missing_or_wrong_content_type_is_an_invalid_data_format(sandbox: Sandbox, headers: dict[str, str]) -> None:
    with caller(sandbox) as client:
        answer = client.post(sandbox.endpoint, content=orjson.dumps(bulk(person("1"))), headers=headers)
    assert _error(answer) == (
        400, "BadRequest", "Invalid Data Format: the Content-Type must be application/scim+json.",
    )  # fmt: skip


def test_a_body_that_violates_the_schema_is_refused_whole(sandbox: Sandbox) -> None:
    with caller(sandbox) as client:
        answer = upload(client, sandbox, person("1"), person("2", active="yes"))
    assert _error(answer) == (400, "BadRequest", "Invalid Data Format: operation 2: active must be a boolean.")
    assert (sandbox.report.accepted, sandbox.entra.users) == (0, {})


def test_an_unknown_custom_attribute_is_refused(sandbox: Sandbox) -> None:
    with caller(sandbox) as client:
        schemas = [*person("1")["schemas"], "urn:unknown"]
        answer = upload(client, sandbox, person("1", schemas=schemas, **{"urn:unknown": {"A": "1"}}))
    assert _error(answer)[2] == "Invalid Data Format: operation 1: the job's schema does not know urn:unknown."


def _send(sandbox: Sandbox, authorization: str | None) -> httpx.Response:
    headers = SCIM if authorization is None else SCIM | {"authorization": authorization}
    return httpx.post(sandbox.endpoint, content=orjson.dumps(bulk(person("1"))), headers=headers, verify=False)


def test_a_call_without_a_token_is_refused(sandbox: Sandbox) -> None:
    answer = _send(sandbox, None)
    assert _error(answer) == (401, "InvalidAuthenticationToken", "Access token is empty.")
    assert answer.headers["www-authenticate"].startswith("Bearer ")


@pytest.mark.parametrize("authorization", ["Bearer", "Bearer abc", "Basic a.b.c", "Bearer a.b.c"])
def test_a_token_that_is_none_of_ours_is_refused(sandbox: Sandbox, authorization: str) -> None:
    assert _error(_send(sandbox, authorization))[:2] == (401, "InvalidAuthenticationToken")


def test_a_token_for_another_audience_is_refused(sandbox: Sandbox) -> None:
    assert _error(_send(sandbox, f"Bearer {token(sandbox, 'https://storage.azure.com')}")) == (
        401, "InvalidAuthenticationToken", "Access token validation failure. Invalid audience.",
    )  # fmt: skip


def test_a_token_of_another_sandbox_is_refused(sandbox: Sandbox, make_sandbox: MakeSandbox) -> None:
    stranger = token(make_sandbox(), sandbox.base_url)
    assert _error(_send(sandbox, f"Bearer {stranger}")) == (
        401, "InvalidAuthenticationToken", "Access token validation failure. Signature validation failed.",
    )  # fmt: skip


def test_a_token_expires_after_its_lifetime(make_sandbox: MakeSandbox) -> None:
    clock = VirtualClock()
    sandbox = make_sandbox(SandboxSettings.immediate(token_lifetime=600.0), clock=clock)
    bearer = f"Bearer {token(sandbox)}"
    clock.advance(599)
    assert _send(sandbox, bearer).status_code == 202
    clock.advance(1)
    assert _error(_send(sandbox, bearer)) == (
        401, "InvalidAuthenticationToken", "Access token has expired or is not yet valid.",
    )  # fmt: skip


def test_each_endpoint_wants_its_own_permission(make_sandbox: MakeSandbox) -> None:
    allowed = {}
    for role in (
        "SynchronizationData-User.Upload",
        "SynchronizationData-User.Upload.OwnedBy",
        "ProvisioningLog.Read.All",
        "AuditLog.Read.All",
        "Synchronization.Read.All",
        "Synchronization.ReadWrite.All",
        "User.Read.All",
    ):
        sandbox = make_sandbox(SandboxSettings.immediate(roles=frozenset({role})))
        job = sandbox.endpoint.removesuffix("/bulkUpload")
        with caller(sandbox) as client:
            allowed[role] = [
                upload(client, sandbox, person("1")).status_code,
                client.get(LOG).status_code,
                client.get(job).status_code,
                client.post(f"{job}/start").status_code,
            ]
            refused = client.get(LOG) if allowed[role][1] == 403 else client.get(job)
        assert _error(refused) == (
            403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.",
        )  # fmt: skip
    assert allowed == {
        "SynchronizationData-User.Upload": [202, 403, 403, 403],
        "SynchronizationData-User.Upload.OwnedBy": [202, 403, 403, 403],
        "ProvisioningLog.Read.All": [403, 200, 403, 403],
        "AuditLog.Read.All": [403, 200, 403, 403],
        "Synchronization.Read.All": [403, 403, 200, 403],
        "Synchronization.ReadWrite.All": [403, 403, 200, 204],
        "User.Read.All": [403, 403, 403, 403],
    }


def test_an_unknown_application_or_job_is_not_found(sandbox: Sandbox) -> None:
    with caller(sandbox) as client:
        wrong = {
            "principal": sandbox.endpoint_of("00000000-0000-0000-0000-000000000000", JOB),
            "job": sandbox.endpoint_of(SERVICE_PRINCIPAL, "API2AAD.x.y"),
        }
        answers = {
            what: _error(client.post(url, content=orjson.dumps(bulk(person("1"))), headers=SCIM))
            for what, url in wrong.items()
        }
    assert answers == {
        "principal": (404, "Request_ResourceNotFound", "The service principal does not exist."),
        "job": (404, "ResourceNotFound", "The synchronization job does not exist."),
    }


def test_other_methods_and_paths_get_graphs_own_errors(sandbox: Sandbox) -> None:
    with caller(sandbox) as client:
        assert _error(client.get(sandbox.endpoint)) == (
            405, "Request_BadRequest", "The method GET is not supported here.",
        )  # fmt: skip
        assert _error(client.get("/v1.0/users")) == (
            400, "BadRequest", "Resource not found for the segment 'v1.0'.",
        )  # fmt: skip


def test_the_job_is_shown_with_its_last_cycle(sandbox: Sandbox) -> None:
    job = sandbox.endpoint.removesuffix("/bulkUpload")
    with caller(sandbox) as client:
        before = client.get(job).json()
        upload(client, sandbox, person("1"), person("2", userName="x@fabrikam.com"))
        after = client.get(job).json()
        schema = client.get(f"{job}/schema").json()
    assert (before["id"], before["status"]["code"], before["status"]["lastExecution"]) == (JOB, "Active", None)
    execution = after["status"]["lastExecution"]
    assert (execution["state"], execution["countExported"], execution["countEscrowed"]) == ("Succeeded", 1, 1)
    names = [a["name"] for a in schema["directories"][0]["objects"][0]["attributes"]]
    assert names[0] == "urn:ietf:params:scim:schemas:extension:contoso:1.0:User:HireDate"


def test_the_job_can_be_paused_and_started(make_sandbox: MakeSandbox) -> None:
    roles = SandboxSettings().roles | {"Synchronization.ReadWrite.All"}
    sandbox = make_sandbox(SandboxSettings.immediate(roles=roles))
    job = sandbox.endpoint.removesuffix("/bulkUpload")
    codes, events = [], []
    with caller(sandbox) as client:
        for verb in ("pause", "start", "pause", "restart"):
            assert client.post(f"{job}/{verb}").status_code == 204
            codes.append(client.get(job).json()["status"]["code"])
            assert upload(client, sandbox, person(verb)).status_code == 202
            events.append(len(client.get(LOG).json()["value"]))
    assert (codes, events) == (["Paused", "Active", "Paused", "Active"], [0, 2, 2, 3])


def test_pages_are_followed_by_the_link_as_given(sandbox: Sandbox) -> None:
    with caller(sandbox) as client:
        upload(client, sandbox, *(person(str(number)) for number in range(7)))
        url: str | None = f"{LOG}?$filter=jobId eq '{JOB}' and provisioningAction eq 'create'&$top=3&other=a b"
        sizes, people = [], []
        while url:
            answer = client.get(url).json()
            sizes.append(len(answer["value"]))
            people += [event["sourceIdentity"]["id"] for event in answer["value"]]
            url = answer.get("@odata.nextLink")
            assert url is None or url.startswith(f"{sandbox.base_url}{LOG}?$filter=")
    assert (sizes, people) == ([3, 3, 1], [str(number) for number in reversed(range(7))])


def test_a_query_that_graph_would_not_take_is_a_bad_request(sandbox: Sandbox) -> None:
    with caller(sandbox) as client:
        answer = client.get(LOG, params={"$filter": "jobId ne 'x'"})
    assert _error(answer) == (400, "BadRequest", "Invalid filter clause: the operator 'ne' is not supported.")


def test_the_log_has_a_limit_of_its_own(make_sandbox: MakeSandbox) -> None:
    clock = VirtualClock()
    sandbox = make_sandbox(SandboxSettings.immediate(report_limit=Limit(5, 10.0)), clock=clock)
    with caller(sandbox) as client:
        answers = [client.get(LOG) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429]
        assert (_error(answers[5])[1], answers[5].headers["retry-after"]) == ("TooManyRequests", "10")
        assert upload(client, sandbox, person("1")).status_code == 202
        clock.advance(10)
        assert client.get(LOG).status_code == 200


@pytest.mark.parametrize(
    ("style", "expected"), [("seconds", "5"), ("date", "Mon, 05 Jan 2026 08:00:05 GMT"), ("none", None)]
)
def test_a_throttled_call_is_told_the_wait_as_the_setting_says(
    make_sandbox: MakeSandbox, style: str, expected: str | None
) -> None:
    settings = SandboxSettings.immediate(send_limit=Limit(1, 5.0), retry_after=style)
    sandbox = make_sandbox(settings, clock=VirtualClock())
    with caller(sandbox) as client:
        answers = [upload(client, sandbox, person("1")) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 429]
    assert _error(answers[1]) == (429, "TooManyRequests", "Too many requests in the window.")
    assert answers[1].headers.get("retry-after") == expected


def test_refused_calls_count_where_the_setting_says_so(make_sandbox: MakeSandbox) -> None:
    statuses = []
    for counts in (False, True):
        clock = VirtualClock()
        sandbox = make_sandbox(SandboxSettings.immediate(send_limit=Limit(1, 5.0), count_throttled=counts), clock=clock)
        with caller(sandbox) as client:
            for pause in (3, 3, 3):
                statuses.append(upload(client, sandbox, person("1")).status_code)
                clock.advance(pause)
    assert statuses == [202, 429, 202, 202, 429, 429]


@pytest.mark.parametrize(
    ("changes", "header", "status", "message"),
    [
        ({}, "wrong", 401, "X-IDENTITY-HEADER is missing or wrong"),
        ({"api-version": "2017-09-01"}, None, 400, "api-version is missing or not supported"),
        ({"resource": "https://graph.microsoft.com"}, None, 400, "The resource is missing or unknown to the tenant"),
        ({"resource": ""}, None, 400, "The resource is missing or unknown to the tenant"),
        ({"client_id": "other"}, None, 400, "No managed identity found for the client id"),
    ],
)
def test_the_identity_endpoint_refuses_strangers_and_strange_resources(
    make_sandbox: MakeSandbox, changes: dict[str, str], header: str | None, status: int, message: str
) -> None:
    sandbox = make_sandbox(SandboxSettings.immediate(client_id="ours"))
    url = identity_url(sandbox, **({"resource": sandbox.base_url, "client_id": "ours"} | changes))
    answer = httpx.get(url, headers={"x-identity-header": header or sandbox.settings.identity_header}, verify=False)
    assert (answer.status_code, answer.json()) == (status, {"statusCode": status, "message": message})


def test_the_identity_endpoint_answers_as_app_service_does(sandbox: Sandbox) -> None:
    answer = httpx.get(
        identity_url(sandbox, sandbox.base_url, client_id="ours"),
        headers={"x-identity-header": sandbox.settings.identity_header},
        verify=False,
    ).json()
    assert answer == {
        "access_token": answer["access_token"],
        "expires_on": answer["expires_on"],
        "resource": sandbox.base_url,
        "token_type": "Bearer",
        "client_id": "ours",
    }
    assert abs(int(answer["expires_on"]) - sandbox.clock.now().timestamp() - 86400) < 60


def test_the_report_says_what_the_server_saw(sandbox: Sandbox) -> None:
    with caller(sandbox) as client:
        for users in ([person("1"), person("2")], [person("1"), person("2")], [person("2", title="Guide")]):
            assert upload(client, sandbox, *users).status_code == 202
        assert upload(client, sandbox, person("3", active="x")).status_code == 400
        report: dict[str, Any] = client.get("/sandbox/report").json()
    assert report == {
        "uploads": 4,
        "accepted": 3,
        "throttled": 0,
        "window_seconds": 5.0,
        "most_uploads_in_window": 4,
        "operations_received": 5,
        "people_received": 2,
        "duplicate_bodies": 1,
        "duplicate_people": 2,
        "tokens_issued": 1,
        "tokens_seen": 1,
        "statuses": {"token": {"200": 1}, "upload": {"202": 3, "400": 1}},
    }
    assert [(seen.operations, seen.status, seen.detail) for seen in sandbox.report.of(Endpoint.UPLOAD)] == [
        (2, 202, ""),
        (2, 202, ""),
        (1, 202, ""),
        (0, 400, "Invalid Data Format: operation 1: active must be a boolean."),
    ]
