# names that we use ourselves
mkdir -p .wod/trash .wod/new trash new spool
touch .wod/trash/student.0.0 .wod-1-2-3 .wod-new temp tmp.wod
ln -s "$OUTSIDE" .wod/trash/student
