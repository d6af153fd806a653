#!/bin/bash
echo ${#HOME}
