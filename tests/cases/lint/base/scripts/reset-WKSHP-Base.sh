#!/bin/bash
set -eu
echo "all seats are reset"
