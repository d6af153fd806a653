#!/bin/bash
set -eux
curl -H "x-access-token: $accessToken" "$WODAPIDBEXTURL"
