from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from connector.sandbox.bulk import ENTERPRISE
from connector.sandbox.settings import JOB, SERVICE_PRINCIPAL, TENANT
from tests.sandbox.tenant import START, Tenant
from tests.sandbox.wire import person

LATER = START + timedelta(days=1)


def test_a_person_is_created_updated_disabled_enabled_and_then_left_alone() -> None:
    tenant = Tenant()
    for changes in (
        {},
        {"title": "Guide"},
        {"title": "Guide", "active": False},
        {"title": "Guide"},
        {"title": "Guide"},
    ):
        tenant.send(person("1", **changes))
        tenant.wait()
    assert tenant.story() == [
        ("1", "create", "success"),
        ("1", "update", "success"),
        ("1", "disable", "success"),
        ("1", "update", "success"),
        ("1", "other", "RedundantExport"),
    ]
    modified = [
        {p["displayName"]: (p["oldValue"], p["newValue"]) for p in event["modifiedProperties"]}
        for event in tenant.events()[1:]
    ]
    assert modified == [
        {"title": (None, "Guide")},
        {"accountEnabled": ("True", "False")},
        {"accountEnabled": ("False", "True")},
        {},
    ]


def test_a_manager_who_comes_after_the_report_gives_two_events_of_one_change() -> None:
    tenant = Tenant(cycle_delay=60.0, log_delay=300.0, reference_delay=(1.5, 1.5))
    tenant.send(person("7", manager="9"), person("9"))
    tenant.wait()
    create, manager_create, update = tenant.events()
    user, manager = tenant.entra.users["7"], tenant.entra.users["9"]

    def step(name: str, kind: str, text: str, status: str = "success", **details: str) -> dict[str, Any]:
        return {
            "name": name, "provisioningStepType": kind, "status": status, "description": text, "details": details,
        }  # fmt: skip

    expected: dict[str, Any] = {
        "id": create["id"],
        "activityDateTime": "2026-01-05T08:01:00Z",
        "tenantId": TENANT,
        "jobId": JOB,
        "cycleId": create["cycleId"],
        "changeId": create["changeId"],
        "provisioningAction": "create",
        "durationInMilliseconds": create["durationInMilliseconds"],
        "provisioningStatusInfo": {"status": "success", "errorInformation": None},
        "provisioningSteps": [
            step("EntryImportAdd", "import", "Received User '7' change of type (Add) from API",
                 externalId="7", displayName="User 7"),
            step("EntrySynchronizationScoping", "scoping", "Determine if User is in scope",
                 **{"Active in the source system": "True", "Scoping filter evaluation passed": "True",
                    "ScopeEvaluationResult": "{}"}),
            step("EntrySynchronizationAdd", "matching", "User '7' will be created in Microsoft Entra ID"),
            step("EntrySynchronizationSkip", "processing", "'9' could not be assigned as the manager of '7'", "skipped",
                 PropertyName="manager", SkipReason="UnableToResolveReferenceAttributeValue"),
            step("EntryExportAdd", "export", "User 'user7@contoso.com' was created in Microsoft Entra ID",
                 ReportableIdentifier="user7@contoso.com"),
        ],
        "modifiedProperties": [
            {"displayName": "objectId", "oldValue": None, "newValue": user.object_id},
            {"displayName": "employeeId", "oldValue": None, "newValue": "7"},
            {"displayName": "userPrincipalName", "oldValue": None, "newValue": "user7@contoso.com"},
            {"displayName": "accountEnabled", "oldValue": None, "newValue": "True"},
            {"displayName": "displayName", "oldValue": None, "newValue": "User 7"},
        ],
        "servicePrincipal": {"id": SERVICE_PRINCIPAL, "displayName": tenant.entra.settings.app_name},
        "sourceSystem": create["sourceSystem"],
        "targetSystem": create["targetSystem"],
        "initiatedBy": {"id": "", "displayName": "Azure AD Provisioning Service", "initiatorType": "system"},
        "sourceIdentity": {
            "id": "7",
            "displayName": "User 7",
            "identityType": ENTERPRISE,
            "details": {"id": "7", "odatatype": "User", "DisplayName": "User 7"},
        },
        "targetIdentity": {
            "id": user.object_id,
            "displayName": "User 7",
            "identityType": "User",
            "details": {"UserPrincipalName": "user7@contoso.com"},
        },
    }  # fmt: skip
    assert create == expected
    assert [s["name"] for s in manager_create["provisioningSteps"]] == [
        "EntryImportAdd", "EntrySynchronizationScoping", "EntrySynchronizationAdd", "EntryExportAdd",
    ]  # fmt: skip
    assert update == expected | {
        "id": update["id"],
        "activityDateTime": "2026-01-05T08:01:01Z",
        "provisioningAction": "update",
        "durationInMilliseconds": update["durationInMilliseconds"],
        "provisioningSteps": [
            step("EntryExportUpdate", "export", "User 'user7@contoso.com' was updated in Microsoft Entra ID",
                 ReportableIdentifier="user7@contoso.com"),
        ],
        "modifiedProperties": [{"displayName": "manager", "oldValue": None, "newValue": manager.object_id}],
        "sourceIdentity": expected["sourceIdentity"] | {
            "displayName": "", "details": {"id": "7", "odatatype": "User", "DisplayName": ""},
        },
        "targetIdentity": expected["targetIdentity"] | {"displayName": ""},
    }  # fmt: skip
    assert len({create["id"], manager_create["id"], update["id"]}) == 3


def test_a_manager_who_comes_in_a_later_cycle_is_assigned_then() -> None:
    tenant = Tenant()
    tenant.send(person("7", manager="9"))
    tenant.wait()
    tenant.send(person("9"))
    tenant.wait()
    assert tenant.story() == [
        ("7", "create", "success"), ("9", "create", "success"), ("7", "update", "success"),
    ]  # fmt: skip
    first, second, third = tenant.events()
    assert first["changeId"] == third["changeId"] != second["changeId"]
    assert first["cycleId"] != second["cycleId"] == third["cycleId"]


def test_a_manager_who_is_there_already_needs_no_second_step() -> None:
    tenant = Tenant()
    tenant.send(person("9"), person("7", manager="9"))
    tenant.wait()
    assert tenant.story() == [("9", "create", "success"), ("7", "create", "success")]
    assert tenant.entra.users["7"].manager == "9"


@pytest.mark.parametrize(
    ("user", "code"),
    [
        (person("2", userName="USER1@contoso.com"), "AzureActiveDirectoryDuplicateUserPrincipalName"),
        (person("2", userName="admin@contoso.com"), "AzureActiveDirectoryDuplicateUserPrincipalName"),
        (person("2", userName="two@fabrikam.com"), "AzureActiveDirectoryDomainDoesNotExist"),
        (person("2", userName="two"), "AzureActiveDirectoryInvalidUserPrincipalName"),
        (person("2", userName="t w o@contoso.com"), "AzureActiveDirectoryInvalidUserPrincipalName"),
        (person("2", userName=...), "AzureActiveDirectoryInvalidUserPrincipalName"),
    ],
)
def test_a_user_principal_name_that_the_directory_refuses_is_a_failure(user: dict[str, Any], code: str) -> None:
    tenant = Tenant(taken_upns=("Admin@contoso.com",))
    tenant.send(person("1"), user)
    tenant.wait()
    assert tenant.story() == [("1", "create", "success"), ("2", "create", code)]
    assert set(tenant.entra.users) == {"1"}


def test_a_refused_change_of_name_leaves_the_account_as_it_was() -> None:
    tenant = Tenant()
    tenant.send(person("1"), person("2"))
    tenant.wait()
    tenant.send(person("2", userName="user1@contoso.com", title="Guide"))
    tenant.wait()
    assert tenant.story()[2:] == [("2", "update", "AzureActiveDirectoryDuplicateUserPrincipalName")]
    assert tenant.entra.users["2"].attributes == {"displayName": "User 2"}


def test_a_name_that_was_given_up_can_be_taken() -> None:
    tenant = Tenant()
    tenant.send(person("1"))
    tenant.send(person("1", userName="new@contoso.com"), person("2", userName="user1@contoso.com"))
    tenant.wait()
    assert tenant.story() == [
        ("1", "create", "success"), ("1", "update", "success"), ("2", "create", "success"),
    ]  # fmt: skip


def test_any_domain_goes_where_none_is_named() -> None:
    tenant = Tenant(verified_domains=None)
    tenant.send(person("1", userName="one@anywhere.test"))
    tenant.wait()
    assert tenant.story() == [("1", "create", "success")]


def test_who_is_out_of_scope_is_skipped() -> None:
    tenant = Tenant(out_of_scope={"userType": ("Contractor",)})
    tenant.send(person("1", userType="Contractor"), person("2", userType="Employee"))
    tenant.wait()
    assert tenant.story() == [("1", "other", "NotEffectivelyEntitled"), ("2", "create", "success")]


def test_mail_can_be_set_only_at_creation() -> None:
    tenant = Tenant()
    for mail in ("a@contoso.com", "b@contoso.com"):
        tenant.send(person("1", emails=[{"type": "work", "value": mail}]))
        tenant.wait()
    assert tenant.story() == [("1", "create", "success"), ("1", "other", "RedundantExport")]


@pytest.mark.parametrize(
    ("flow", "kept"),
    [
        (frozenset(), {"displayName": "User 1", "title": "Guide", "nickName": "U"}),
        (frozenset({"*"}), {"nickName": "U"}),
    ],
)
def test_null_and_absent_clear_a_value_only_where_null_flows(flow: frozenset[str], kept: dict[str, str]) -> None:
    tenant = Tenant(flow_null_values=flow)
    tenant.send(person("1", title="Guide", nickName="U"))
    tenant.send(person("1", title=None, displayName=..., nickName="U"))
    tenant.wait()
    assert tenant.entra.users["1"].attributes == kept


def _pause(tenant: Tenant) -> None:
    tenant.entra.pause(tenant.job)


def _quarantine(tenant: Tenant) -> None:
    tenant.entra.quarantine(tenant.job, tenant.now)


@pytest.mark.parametrize(("stop", "code"), [(_pause, "Paused"), (_quarantine, "Quarantine")])
def test_a_stopped_job_accepts_and_processes_nothing_until_it_goes_on(
    stop: Callable[[Tenant], None], code: str
) -> None:
    tenant = Tenant()
    stop(tenant)
    tenant.send(person("1"))
    tenant.wait()
    assert (tenant.story(), tenant.entra.status(tenant.job, tenant.now)["status"]["code"]) == ([], code)
    resumed = tenant.now
    tenant.entra.resume(tenant.job, resumed)
    tenant.wait()
    assert tenant.story() == [("1", "create", "success")]
    assert tenant.events()[0]["activityDateTime"] == resumed.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert tenant.entra.status(tenant.job, tenant.now)["status"]["code"] == "Active"


def test_a_restart_drops_what_is_staged() -> None:
    tenant = Tenant()
    tenant.send(person("1"))
    tenant.entra.restart(tenant.job, tenant.now)
    tenant.wait()
    assert tenant.story() == []


def test_a_quarantine_gives_its_reason_and_the_next_attempt() -> None:
    tenant = Tenant()
    tenant.entra.quarantine(tenant.job, START, "EncounteredEscrowProportionThreshold")
    assert tenant.entra.status(tenant.job, START)["status"]["quarantine"] == {
        "currentBegan": "2026-01-05T08:00:00Z",
        "nextAttempt": "2026-01-06T08:00:00Z",
        "reason": "EncounteredEscrowProportionThreshold",
        "seriesBegan": "2026-01-05T08:00:00Z",
        "seriesCount": 1,
        "error": {
            "code": "EncounteredEscrowProportionThreshold",
            "message": "The job is in quarantine.",
            "tenantActionable": True,
        },
    }


def test_a_cycle_takes_all_that_is_staged_when_it_starts_and_the_log_shows_it_later() -> None:
    tenant = Tenant(cycle_delay=100.0, person_time=1.0, log_delay=300.0)
    tenant.send(person("1"))
    tenant.wait(50)
    tenant.send(person("2"))
    tenant.wait(100)
    tenant.send(person("3"))
    shown = []
    for seconds in (249, 1, 1, 98, 50):
        tenant.wait(seconds)
        shown.append([external_id for external_id, *_ in tenant.story()])
    # Cycles start at 100 s (1 and 2) and at 250 s (3); the log follows 300 s behind.
    assert shown == [[], ["1"], ["1", "2"], ["1", "2"], ["1", "2"]]
    tenant.wait(1)
    assert [e["activityDateTime"] for e in tenant.events()] == [
        "2026-01-05T08:01:40Z", "2026-01-05T08:01:41Z", "2026-01-05T08:04:10Z",
    ]  # fmt: skip
    assert len({event["cycleId"] for event in tenant.events()}) == 2


def test_events_come_late_twice_and_out_of_order_when_settings_say_so() -> None:
    tenant = Tenant(log_jitter=600.0, log_late=7200.0, log_late_share=0.3, log_duplicate_share=0.4, person_time=1.0)
    people = [person(str(number)) for number in range(100)]
    tenant.send(*people)
    tenant.wait(3600)
    early = [external_id for external_id, *_ in tenant.story()]
    tenant.wait(3600 * 3)
    complete = [external_id for external_id, *_ in tenant.story()]
    assert len(set(early)) < 100
    assert set(complete) == {str(number) for number in range(100)}
    assert len({event["id"] for event in tenant.events()}) == 100 < len(complete)
    assert early != sorted(early, key=int)


def test_the_same_seed_and_the_same_calls_give_the_same_log() -> None:
    logs = []
    for _ in range(2):
        tenant = Tenant(log_jitter=60.0, seed=7)
        tenant.send(person("1", manager="2"), person("2"))
        tenant.wait()
        logs.append(tenant.events())
    assert logs[0] == logs[1]
