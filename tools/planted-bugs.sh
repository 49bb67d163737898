#!/usr/bin/env bash
# Tries the tests: builds with the bugs of src/planted.rs, wakes one at a time, and runs the test that has to catch it.
# A bug that no test catches is a failure. Takes some minutes; the build goes to a directory of its own. With names of
# bugs as arguments it tries these alone.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/planted" RUST_BACKTRACE=0

# bug, then the test that catches it: where it is and what it is called
cases="
ack-before-sync         --test values  master::an_ok_leaves_only_when_it_is_durable
names-not-synced        --test values  wal_crash::no_crash_before_any_operation_takes_back_what_was_told
epoch-ignored           --lib          records_of_an_older_epoch_are_the_end_and_are_written_over
sync-retried            --test values  master::a_failed_sync_is_the_end
sync-retried            --test values  meddling::whoever_meddles_waits_and_reads_is_told_what_is_so
no-fence                --test values  model::the_master_does_what_the_lists_say
replay-past-hole        --lib          unsynced_records_behind_a_hole_do_not_come_back
group-torn              --lib          a_group_is_recovered_whole_or_not_at_all
damage-cut              --lib          damage_to_what_was_durable_is_refused_with_its_place
snapshot-early          --test values  corners::a_snapshot_gets_its_name_only_when_the_log_is_durable_up_to_it
snapshot-smeared        --test values  snapshot::a_snapshot_in_slices_is_the_state_when_it_was_begun
segment-given-up-early  --test values  corners::a_segment_is_kept_as_long_as_the_snapshot_before_the_last_needs_it
no-room-kept            --test values  wal_faults::a_full_disk_ends_nothing_and_loses_nothing
story-cut               --test values  stories::the_last_ten_attempts_are_remembered_with_the_last_error
unbegun-counted         --test values  begun::a_lease_that_ends_before_its_job_was_begun_costs_nothing
hoarded                 --test values  prefetch::nobody_holds_a_job_that_another_worker_could_begin
poured-out              --test daemon  door::who_reads_nothing_is_handed_no_more_and_what_it_never_got_costs_no_attempt
unknown-ignored         --lib          an_unknown_extra_is_skipped_or_refused_by_its_tag
kept-briefly            --test values  meddling::whoever_meddles_waits_and_reads_is_told_what_is_so
kept-briefly            --test values  model::the_master_does_what_the_lists_say
cancel-forgotten        --test values  meddling::whoever_meddles_waits_and_reads_is_told_what_is_so
cancel-forgotten        --test values  model::the_master_does_what_the_lists_say
requeue-counted         --test values  model::the_master_does_what_the_lists_say
key-stays               --test values  model::the_master_does_what_the_lists_say
wait-late               --test values  waiting::what_never_ended_is_cancelled_when_it_is_purged
wait-late               --test values  meddling::whoever_meddles_waits_and_reads_is_told_what_is_so
wait-flattered          --test values  waiting::what_never_ended_is_cancelled_when_it_is_purged
wait-flattered          --test values  meddling::whoever_meddles_waits_and_reads_is_told_what_is_so
begun-expires           --test values  meddling::whoever_meddles_waits_and_reads_is_told_what_is_so
begun-expires           --test values  model::the_master_does_what_the_lists_say
pause-leaks             --test values  meddling::whoever_meddles_waits_and_reads_is_told_what_is_so
pause-leaks             --test values  model::the_master_does_what_the_lists_say
bounds-ignored          --test values  meddling::whoever_meddles_waits_and_reads_is_told_what_is_so
bounds-ignored          --test values  model::the_master_does_what_the_lists_say
backoff-drawn           --lib          one_that_does_not_grow_is_as_long_as_was_asked_for
idle-early              --test values  model::the_master_does_what_the_lists_say
kept-briefly            --test processes kill9::every_promise_holds_across_kill_9
cancel-forgotten        --test processes kill9::every_promise_holds_across_kill_9
wait-flattered          --test processes kill9::every_promise_holds_across_kill_9
key-outlives-start      --test values  model::the_master_does_what_the_lists_say
replaced-in-part        --test values  model::the_master_does_what_the_lists_say
turn-kept               --test values  model::the_master_does_what_the_lists_say
turn-kept               --test values  groups::a_group_with_many_jobs_delays_each_other_by_one_turn_at_most
tokens-free             --test values  model::the_master_does_what_the_lists_say
tokens-free             --test values  meddling::whoever_meddles_waits_and_reads_is_told_what_is_so
group-limit-passed      --test values  model::the_master_does_what_the_lists_say
group-limit-passed      --test values  meddling::whoever_meddles_waits_and_reads_is_told_what_is_so
strict-passed           --test values  model::the_master_does_what_the_lists_say
strict-passed           --test values  meddling::whoever_meddles_waits_and_reads_is_told_what_is_so
ready-early             --test values  model::the_master_does_what_the_lists_say
ready-early             --test values  meddling::whoever_meddles_waits_and_reads_is_told_what_is_so
failure-passed          --test values  model::the_master_does_what_the_lists_say
failure-passed          --test values  meddling::whoever_meddles_waits_and_reads_is_told_what_is_so
no-tombstone            --test values  model::the_master_does_what_the_lists_say
no-tombstone            --test values  meddling::whoever_meddles_waits_and_reads_is_told_what_is_so
batch-early             --test values  model::the_master_does_what_the_lists_say
batch-early             --test values  meddling::whoever_meddles_waits_and_reads_is_told_what_is_so
batch-early             --test values  batches::nothing_of_a_batch_runs_before_it_is_ended_also_across_a_crash
batch-kept-open         --test values  batches::a_batch_that_nobody_fills_is_cancelled_after_60_s_and_one_that_somebody_comes_back_to_is_not
circles-made            --test values  batches::jobs_and_batches_never_wait_for_each_other_in_a_circle
circles-made            --test values  model::the_master_does_what_the_lists_say
batch-kept-open         --test values  meddling::whoever_meddles_waits_and_reads_is_told_what_is_so
follow-up-apart         --test values  follow_ups::a_crash_leaves_both_or_neither
follow-up-apart         --test values  meddling::whoever_meddles_waits_and_reads_is_told_what_is_so
key-stays               --test values  meddling::whoever_meddles_waits_and_reads_is_told_what_is_so
key-outlives-start      --test values  meddling::whoever_meddles_waits_and_reads_is_told_what_is_so
tick-twice              --test values  meddling::whoever_meddles_waits_and_reads_is_told_what_is_so
limit-passed            --test values  model::the_master_does_what_the_lists_say
pause-leaks             --test processes kill9::every_promise_holds_across_kill_9
spare-revived           --lib          a_spare_that_was_to_be_the_next_segment_is_emptied
tick-apart              --test values  schedules::a_kill_or_a_power_cut_at_the_moment_of_a_tick_takes_none_away_and_makes_none_twice
tick-twice              --test values  schedules::a_kill_or_a_power_cut_at_the_moment_of_a_tick_takes_none_away_and_makes_none_twice
missed-forgotten        --test values  schedules::ticks_that_were_missed_while_the_master_was_down_are_made_up_for_as_was_asked
recent-skips            --test values  recent::each_event_of_the_log_is_told_once_and_in_its_order
faded-given-up          --test values  corners::a_segment_is_kept_until_a_record_is_behind_the_time_of_what_was_kept_in_it
"

run() { cargo test --quiet --locked --features planted-bugs "$@" >"$log" 2>&1; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT

for bug; do
    if ! grep -q "^$bug " <<<"$cases"; then
        echo "no test is named for a bug called $bug" >&2
        exit 2
    fi
done

missed=0
while read -r bug where target test; do
    [ -n "$bug" ] || continue
    if [ $# -gt 0 ] && [[ " $* " != *" $bug "* ]]; then continue; fi
    if [ "$where" = --lib ]; then test=$target; target=; fi
    # shellcheck disable=SC2086  # a target of no words is none
    if ! FALCON_BUG='' run $where $target -- "$test" && ! grep -q 'test result' "$log"; then
        cat "$log"
        exit 1
    fi
    if FALCON_BUG=$bug run $where $target -- "$test"; then
        echo "NOT CAUGHT  $bug by $target $test"
        missed=1
    elif grep -q 'test result: FAILED\|panicked' "$log"; then
        echo "caught      $bug by ${target:-unit test} $test"
    else
        cat "$log"
        exit 1
    fi
done <<<"$cases"
exit "$missed"
