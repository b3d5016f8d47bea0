"""Compares what the tests leave out of what decides and judges with the list of what they may: `python -m tests.coverage`.

    pytest -m measured --cov ──> build/coverage.json ──┐
                                                       ├──> a gap that is not listed, or is larger; a listed one that is closed
    tests/coverage-gaps.toml ──────────────────────────┘

A gap is a function and how many of its branches, or lines where it has none, nothing reaches. Lines have no names that
last, so the list has none.
"""

import json
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

MEASURED: Final = Path("build/coverage.json")
LISTED: Final = Path(__file__).with_name("coverage-gaps.toml")
SOURCE: Final = "core/sluice_core/"
TESTS: Final = (
    "tests/unit/core/",
    "tests/unit/judge/",
    "tests/simulation/test_baseline.py",
    "tests/simulation/test_batch.py",
    "tests/simulation/test_batch_spark.py",
    "tests/simulation/test_kstatus.py",
    "tests/simulation/test_abtest.py::test_an_arm_without_pods_is_taken_out_once_stable_has_some",
    "tests/simulation/test_abtest.py::test_another_model_ends_the_test",
    "tests/simulation/test_abtest.py::test_nothing_counts_users",
    "tests/simulation/test_autoscaling.py::test_a_model_without_requests_sleeps_and_a_release_wakes_it",
    "tests/simulation/test_autoscaling.py::test_keda_asks_at_an_address_of_its_own",
    "tests/simulation/test_autoscaling.py::test_keda_is_not_blamed_for_what_it_does_not_scale",
    "tests/simulation/test_autoscaling.py::test_the_two_engines_are_never_there_at_once",
    "tests/simulation/test_backends.py::test_an_abort_reaches_a_full_route",
    "tests/simulation/test_by_service.py::test_what_needs_a_gateway_is_refused_while_stable_serves",
    "tests/simulation/test_by_service.py::test_without_a_counter_of_its_own_nothing_advances_and_the_message_says_what_to_do",
    "tests/simulation/test_capacity.py::test_a_superseded_version_gives_its_devices_to_the_next_one",
    "tests/simulation/test_carries.py::test_a_candidate_that_has_fallen_itself_gets_nothing_more",
    "tests/simulation/test_carries.py::test_it_takes_nothing_from_a_version_that_answers",
    "tests/simulation/test_clock.py::test_a_forged_settling_holds_no_abort",
    "tests/simulation/test_clock.py::test_in_a_drain",
    "tests/simulation/test_ends.py::test_an_arm_whose_revision_is_lost_is_taken_out",
    "tests/simulation/test_drift.py::test_a_restarted_operator_goes_on_with_what_was_written",
    "tests/simulation/test_faults.py::test_a_deployment_scaled_or_deleted_by_hand_comes_back",
    "tests/simulation/test_first_runtime.py",
    "tests/simulation/test_formats.py",
    "tests/simulation/test_freeze.py::test_an_abort_needs_no_policy_that_can_be_read",
    "tests/simulation/test_looks.py::test_a_day_without_requests_is_asked_for_once_a_minute",
    "tests/simulation/test_looks.py::test_a_look_by_time_alone_judges_like_a_whole_reconcile",
    "tests/simulation/test_lost_stable.py::test_no_version_becomes_the_first_one_while_the_lost_one_answers",
    "tests/simulation/test_news.py::test_a_restart_doubles_nothing_and_the_past_stays_past",
    "tests/simulation/test_names_taken.py::test_a_deployment_that_is_made_again_is_scaled_again",
    "tests/simulation/test_observer.py",
    "tests/simulation/test_one_engine.py::test_a_route_that_splits_wrongly_is_written_once_more",
    "tests/simulation/test_one_engine.py::test_a_single_bad_pod_is_replaced_first",
    "tests/simulation/test_orphans.py::test_an_unpinned_candidate_leaves_nothing_behind",
    "tests/simulation/test_orphans.py::test_a_lone_service_of_an_unpinned_version_is_deleted_at_once",
    "tests/simulation/test_podfields.py::test_a_batch_over_a_version_that_is_no_longer_allowed_does_not_begin",
    "tests/simulation/test_podfields.py::test_a_mount_where_the_runtime_has_one_is_refused",
    "tests/simulation/test_podfields.py::test_devices_that_cannot_be_counted_are_named",
    "tests/simulation/test_podfields.py::test_a_forbidden_field_is_refused_and_nothing_is_lost",
    "tests/simulation/test_refused.py::test_no_weight_rises_without_a_record",
    "tests/simulation/test_registry.py",
    "tests/simulation/test_restores.py::test_a_backup_without_statuses_gets_them_again",
    "tests/simulation/test_restores.py::test_an_intent_on_a_release_that_has_ended_is_answered_again",
    "tests/simulation/test_signatures.py",
    "tests/simulation/test_silence_by_gateway.py::test_a_gateway_with_the_backends_proves_nothing_about_requests_elsewhere",
    "tests/simulation/test_surroundings.py::test_nothing_is_touched_while_something_cannot_be_seen",
    "tests/simulation/test_surroundings.py::test_stalled_with_a_remedy_while_stable_serves",
    "tests/simulation/test_tenants.py",
    "tests/simulation/test_validation.py::test_more_rows_under_the_same_uri_are_asked_of_stable_again",
    "tests/simulation/test_validation.py::test_one_that_passes_is_released_as_ever",
    "tests/simulation/test_validation.py::test_too_few_rows_wait_for_a_person",
    "tests/simulation/test_variants.py::test_naming_it_is_a_release_that_waits_until_it_is_made",
    "tests/simulation/test_variants.py::test_one_that_cannot_be_made_says_why_and_stable_serves",
    "tests/simulation/test_watch.py::test_a_policy_that_loses_its_watch_leaves_nothing_behind",
    "tests/simulation/test_watch.py::test_no_version_comes_back_that_was_not_verified",
    "tests/simulation/test_watch.py::test_the_version_before_comes_back_as_a_judged_release",
    "tests/simulation/test_watch.py::test_the_judge_may_refuse_the_version_before_and_is_asked_once",
    "tests/simulation/test_abtest.py::test_a_metric_without_an_exporter_is_reported_to_have_no_samples",
    "tests/simulation/test_autoscaling.py::test_scaling_by_an_estimate_is_reported",
    "tests/simulation/test_silence_by_gateway.py::test_failures_that_the_gateway_does_not_count_are_reported",
    "tests/simulation/test_strategies.py::test_a_failing_version_is_rolled_back_at_the_share_that_is_at_risk",
    "tests/simulation/test_strategies.py::test_while_no_traffic_is_known_the_first_share_is_small",
    "tests/simulation/test_superseded.py::test_recreate_serves_on_until_the_next_version_needs_the_room",
    "tests/simulation/test_superseded.py::test_recreate_goes_back_while_nothing_may_begin",
    "tests/simulation/test_words.py::test_the_route_is_on_its_way_to_what_the_step_gives",
    "tests/simulation/test_intents.py::test_a_retry_of_a_version_no_longer_requested_says_what_to_do",
    "tests/simulation/test_rollback.py::test_a_half_way_state_is_not_put_back_onto_a_version_without_pods",
    "tests/simulation/test_rollback.py::test_a_version_whose_record_is_deleted_meanwhile_answers_on",
    "tests/simulation/test_rollback.py::test_recreate_goes_back_at_once_since_there_is_no_room_for_both",
)
"""Those that run under coverage, by the beginnings of their ids: all that is near, and few whole releases."""
TOO_SLOW: Final = (
    "tests/unit/core/adapters/",
    "tests/unit/core/api/",
    "tests/unit/judge/replay/test_closed_loop.py",
    "tests/unit/judge/test_power.py",
    "tests/unit/judge/stats/test_error_rates.py",
    "tests/unit/core/watch/test_progress.py::test_limits",
    "tests/unit/judge/kinds/test_distribution.py::test_equal_versions_are_not_rolled_back",
    "tests/unit/judge/stats/test_edetector.py::test_at_the_limit_false_alarms_are_no_more_frequent_than_promised",
    "tests/unit/judge/stats/test_edetector.py::test_what_is_over_the_limit_is_found",
    "tests/unit/judge/stats/test_evidence.py::test_evidence_of_a_lone_limit_expects_at_most_1_where_going_back_would_not_help",
    "tests/unit/judge/stats/test_evidence.py::test_joint_evidence_expects_at_most_1_under_either_null",
    "tests/unit/judge/stats/test_judge_streams.py::test_an_equal_version_stays_whatever_it_is_asked",
    "tests/unit/judge/stats/test_judge_streams.py::test_an_equal_version_that_has_fewer_prefixes_stays",
    "tests/unit/judge/stats/test_judge_streams.py::test_broken_streams_are_found",
    "tests/unit/judge/stats/test_judge_streams.py::test_with_equal_shares_a_version_that_is_slow_is_found_beside_caches",
    "tests/unit/judge/stats/test_judge_table.py::test_errors_of_both_that_come_late_are_nobodys_fault",
    "tests/unit/judge/stats/test_judge_table.py::test_what_happens_to_both_in_the_bake_ends_only_what_cannot_ask",
    "tests/unit/judge/stats/test_mixture.py::test_an_innocent_version_with_longer_prompts_is_not_accused",
    "tests/unit/judge/stats/test_sampletest.py::test_a_scrape_in_which_much_fails_together_is_one_witness",
    "tests/unit/judge/stats/test_sampletest.py::test_evidence_by_samples_expects_at_most_1_under_either_null",
    "tests/unit/judge/stats/test_split.py::test_one_more_scrape_is_not_expected_to_add_evidence_whatever_the_weights_were",
    "tests/unit/judge/stats/test_split.py::test_right_splits_are_accused_at_most_once_in_a_thousand",
    "tests/unit/judge/stats/test_swings.py::test_divided_evidence_has_an_expectation_of_at_most_one",
    "tests/unit/judge/test_judge.py::test_a_thousand_gateway_pods_fit_the_state",
    "tests/unit/judge/test_judge.py::test_largest_policy_fits_the_state",
    "tests/unit/judge/test_judge.py::test_pods_are_forgotten_before_the_state_is_too_large",
    "tests/unit/judge/test_podswings.py::test_recorded_increments_show_the_same",
    "tests/unit/judge/test_restarts.py",
)
"""But not these: they compute for long, and reach nothing that others do not reach."""


@dataclass(frozen=True, slots=True)
class Gap:
    """What may be left out of one function, and why."""

    most: int
    why: str


def is_measured(test: str) -> bool:
    """Whether the test of that id runs under coverage."""
    return test.startswith(TESTS) and not test.startswith(TOO_SLOW)


def measured(report: Mapping[str, Any]) -> dict[str, int]:
    """Branches, or lines, that nothing reached, by `core/children.py: function`; only those functions that have some."""
    return {
        f"{path.removeprefix(SOURCE)}: {name or 'module'}": missing
        for path, file in report["files"].items()
        for name, function in file["functions"].items()
        if (missing := len(function["missing_branches"]) or len(function["missing_lines"]))
    }


def listed(text: str) -> dict[str, Gap]:
    """The gaps that have a reason, likewise."""
    return {
        f"{path}: {name}": Gap(most=gap["most"], why=gap["why"])
        for path, functions in tomllib.loads(text).items()
        for name, gap in functions.items()
    }


def complaints(gaps: Mapping[str, int], allowed: Mapping[str, Gap]) -> Iterator[str]:
    """What differs, and what to do about it."""
    for name, missing in sorted(gaps.items()):
        most = allowed[name].most if name in allowed else 0
        if missing > most:
            yield f"{name}: nothing reaches {missing} of its branches, {most} may be left out; test them, or list why not"
    for name in sorted(allowed.keys() - gaps.keys()):
        yield f"{name}: listed, but everything in it is reached; take it off the list"


def main() -> int:
    report = json.loads(MEASURED.read_text(encoding="utf-8"))
    wrong = list(complaints(measured(report), listed(LISTED.read_text(encoding="utf-8"))))
    print(*wrong, sep="\n", file=sys.stderr)
    print(f"what decides and judges: {report['totals']['percent_covered']:.1f} % of lines and branches are reached")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
