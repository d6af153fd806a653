#!/bin/bash
echo {{ STDID }}
