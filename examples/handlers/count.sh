#!/bin/sh
# Takes each job as done: falcon-worker --queue count --reuse -- sh count.sh
# A shell has no JSON of its own: this one needs no more than the number, which comes first. Where the payload counts,
# run the command for each job, without --reuse, or let jq read the line.
while IFS= read -r line; do
    number=${line#'{"job":'}
    number=${number%%,*}
    printf '{"job":%s,"ok":true,"result":"%s bytes"}\n' "$number" "${#line}"
done
