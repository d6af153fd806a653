# the workshop's directory is setgid, of another student's group, and open to all
# needs: root
mkdir -m 2777 WKSHP-Sample && chown "$OTHER_UID:$OTHER_UID" WKSHP-Sample && chmod 2777 WKSHP-Sample
touch WKSHP-Sample/theirs && chown "$OTHER_UID" WKSHP-Sample/theirs
