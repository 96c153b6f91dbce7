"""Which test tries which fault on which engine: the rows of the table that `python -m bench.faults` prints."""

from collections.abc import Mapping

_LOCAL = "tests/adapters/engines/local/test_processes.py::test_"
_SLURM = "tests/adapters/engines/slurm/test_faults.py::test_"
_HANDS = "tests/adapters/engines/slurm/test_hands.py::test_"
_ACCOUNTS = "tests/adapters/engines/slurm/test_options.py::test_"
_RAY = "tests/adapters/engines/ray/test_engine.py::test_"
_KUBERNETES = "tests/adapters/engines/kubernetes/test_faults.py::test_"
_KILLED = (
    "tests/journeys/test_agents_killed.py::test_an_agent_killed_again_and_again_while_jobs_start_and_run"
)
_WORLD = "tests/world/test_world.py::"
_TIME = "tests/world/test_time.py::test_"
_ANY = "tests/conformance/test_engine.py::test_"

REAL = ("local", "slurm", "ray", "kubernetes")
ENGINES = (*REAL, "simulated")
# Whole files, for `--all`: what else may go wrong with an engine.
FILES: Mapping[str, tuple[str, ...]] = {
    "local": ("tests/adapters/engines/local/test_processes.py", "tests/agent/test_full_disk.py"),
    "slurm": ("tests/adapters/engines/slurm/test_faults.py", "tests/adapters/engines/slurm/test_hands.py"),
    "ray": ("tests/adapters/engines/ray/test_engine.py",),
    "kubernetes": ("tests/adapters/engines/kubernetes/test_faults.py",),
    "simulated": ("tests/world",),
}
ROWS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "client killed mid-submit": {
        "local": (f"{_LOCAL}a_submitter_killed_anywhere_gives_neither_two_nor_none",),
        "slurm": (f"{_SLURM}an_agent_killed_anywhere_in_a_submission_gives_neither_two_nor_none",),
        "ray": (f"{_RAY}a_submitter_that_is_killed_at_any_moment_has_it_run_once",),
        "kubernetes": (f"{_KUBERNETES}a_submitter_that_is_killed_at_any_moment_has_it_run_once",),
    },
    "client and agent killed, and every charge exactly once": {
        engine: (f"{_KILLED}[{engine}]",) for engine in REAL
    },
    "reply lost": {
        "slurm": (
            f"{_SLURM}a_job_whose_number_was_never_heard_is_adopted_by_name",
            f"{_SLURM}a_submission_that_arrives_late_makes_a_copy_that_does_not_run",
        ),
        "ray": (f"{_RAY}a_submission_whose_answer_was_lost_is_adopted",),
        "kubernetes": (
            f"{_KUBERNETES}a_job_whose_creation_was_never_heard_of_is_adopted",
            f"{_KUBERNETES}watches_that_drop_and_refusals_lose_nothing",
        ),
    },
    "controller restarted": {
        "slurm": (
            f"{_SLURM}a_job_that_the_controller_forgot_is_absent_after_the_lag_and_never_starts",
            f"{_SLURM}a_controller_that_crashes_right_after_it_started_a_job_never_has_it_run_twice",
            f"{_SLURM}nothing_ends_while_the_controller_is_away",
            f"{_SLURM}a_stop_while_the_controller_is_away_ends_all_ranks_once_it_is_back",
            f"{_SLURM}a_second_controller_that_takes_over_loses_nothing_and_starts_nothing_twice",
        ),
        "ray": (f"{_RAY}a_head_that_restarts_forgets_jobs_and_they_end",),
        "kubernetes": (
            f"{_KUBERNETES}an_api_server_that_is_away_loses_nothing",
            f"{_KUBERNETES}controllers_that_are_away_only_delay",
        ),
    },
    "database of Slurm away": {"slurm": (f"{_ACCOUNTS}accounting_that_is_away_harms_nothing",)},
    "node death": {
        "slurm": (
            f"{_SLURM}an_attempt_ends_with_its_node_and_not_before_its_supervisor_is_silent",
            f"{_SLURM}a_gang_that_loses_a_node_is_no_success_and_not_the_users_doing",
        ),
        "ray": (f"{_RAY}a_node_that_is_lost_ends_the_gang",),
        "kubernetes": (
            f"{_KUBERNETES}a_lost_node_is_the_centres_doing",
            f"{_KUBERNETES}a_node_that_nobody_hears_of_loses_nothing",
        ),
        "local": (f"{_LOCAL}a_killed_supervisor_is_an_end_by_the_centre",),
    },
    "purge before observation": {
        "slurm": (
            f"{_SLURM}a_job_that_was_purged_before_anybody_looked",
            f"{_SLURM}a_purged_job_whose_supervisor_was_killed_is_the_sites_doing",
            f"{_ACCOUNTS}accounting_tells_of_jobs_that_the_controller_forgot",
        ),
        "ray": (f"{_RAY}a_job_that_was_purged_before_anybody_looked",),
        "kubernetes": (f"{_KUBERNETES}a_job_that_was_purged_before_anybody_looked",),
    },
    "requeue": {
        "slurm": (
            f"{_HANDS}an_administrators_requeue_is_refused_by_slurm",
            f"{_HANDS}a_job_that_is_requeued_all_the_same_does_not_run_twice",
            f"{_HANDS}a_requeued_job_that_starts_at_once_meets_its_own_mark",
        ),
        "kubernetes": (f"{_KUBERNETES}a_pod_that_an_administrator_deletes",),
    },
    "id reuse": {
        "slurm": (f"{_SLURM}a_job_number_that_is_used_again_is_not_taken_for_ours",),
        "kubernetes": (
            "tests/adapters/engines/kubernetes/test_cluster.py::"
            "test_an_object_of_the_same_name_that_is_not_ours_is_left_alone",
        ),
    },
    "clock skew": {
        **{engine: (f"{_ANY}an_agents_clock_that_is_wrong_and_jumps[{engine}]",) for engine in REAL},
        "simulated": (f"{_TIME}clock_skew_of_an_hour_and_a_jump_while_a_job_runs",),
    },
    "a site away for a simulated day": {
        **{engine: (f"{_ANY}an_agent_that_was_away_for_a_day[{engine}]",) for engine in REAL},
        "simulated": (f"{_TIME}a_site_away_for_a_simulated_day",),
    },
    "all at random, from many histories": {
        "simulated": (f"{_WORLD}TestWorld::runTest", f"{_WORLD}TestDiskWorld::runTest")
    },
}
# Where a fault cannot happen, and why.
NONE: Mapping[str, Mapping[str, str]] = {
    "reply lost": {"local": "the agent starts processes itself"},
    "controller restarted": {"local": "there is none"},
    "database of Slurm away": dict.fromkeys(("local", "ray", "kubernetes"), "it keeps no accounts"),
    "purge before observation": {"local": "nobody but the agent deletes attempts"},
    "requeue": {"local": "nothing starts a process again", "ray": "jobs of Ray are not started again"},
    "id reuse": {
        "local": "an attempt is known by the lock on its folder, not by a process number",
        "ray": "ids are the attempt's own key",
    },
}
