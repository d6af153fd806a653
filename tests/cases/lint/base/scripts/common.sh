#!/bin/bash
echo common
