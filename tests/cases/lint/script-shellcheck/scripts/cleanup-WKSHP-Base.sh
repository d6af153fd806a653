#!/bin/bash
rm -rf $stddir/x
