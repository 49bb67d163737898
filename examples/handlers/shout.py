#!/usr/bin/env python3
"""Answers each payload in capitals: falcon-worker --queue shout --reuse --open 16 -- python3 shout.py"""

import json
import sys

for line in sys.stdin:
    job = json.loads(line)
    try:
        answer = {"job": job["job"], "ok": True, "result": job["payload"].upper()}
    except KeyError:
        # A payload that is not text comes as payload_base64.
        answer = {"job": job["job"], "ok": False, "error": "the payload is not text", "for_good": True}
    print(json.dumps(answer), flush=True)
