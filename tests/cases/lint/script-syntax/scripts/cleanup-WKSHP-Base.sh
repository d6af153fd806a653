#!/bin/bash
if true; then
  echo a
fi fi
