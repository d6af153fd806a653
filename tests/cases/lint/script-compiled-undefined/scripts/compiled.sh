#!/bin/bash
echo {{ STDIDD }}
