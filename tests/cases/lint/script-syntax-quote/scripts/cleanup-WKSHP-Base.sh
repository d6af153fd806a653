#!/bin/bash
echo "open
echo b
