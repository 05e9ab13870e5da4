#!/bin/sh
# State of a Slurm job, in the words of cluster-generic: running, success or failed.
#
# The controller knows a job from its submission until some minutes after its end; the accounting, if
# there is one, knows it from then on. A controller that does not answer is no reason to give a job up.
if answer=$(scontrol --oneliner show job "$1" 2>&1); then
    state=$(printf '%s\n' "$answer" | tr ' ' '\n' | sed -n 's/^JobState=//p' | head -n 1)
elif printf '%s' "$answer" | grep -q 'Invalid job id'; then
    state=$(sacct --allocations --noheader --parsable2 --format=State --jobs "$1" 2>/dev/null | head -n 1)
else
    state=PENDING
fi
case "$state" in
    COMPLETED) echo success ;;
    PENDING | CONFIGURING | RUNNING | COMPLETING | SUSPENDED | REQUEUED | RESIZING | STAGE_OUT)
        echo running ;;
    # Or PREEMPTED for good: one that Slurm starts again is PENDING, and two jobs of a run exclude each
    # other. Or known to nobody any more. All of them are submitted again.
    *) echo failed ;;
esac
