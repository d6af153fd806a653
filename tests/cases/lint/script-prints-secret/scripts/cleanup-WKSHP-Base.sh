#!/bin/bash
set -eu
echo "the password is $randompw"
