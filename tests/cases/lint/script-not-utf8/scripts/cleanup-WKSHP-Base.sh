#!/bin/bash
echo ÿ
