# shellcheck shell=bash
# To be sourced, after private-cluster.sh: a server of ours with the extension, whose image files are
# opened and read slowly (slow_files.c), by the backends and by the engines.
#
#   start_slow_cluster FOLDER IMAGES     IMAGES: the folder whose files are slow
#   slow_files OPEN_MS READ_MS [LIBRARY] how slow, for sessions that begin after it; LIBRARY, a folder
#                                        with vamhash.so and vamhash-engine, instead of the installed

slow_folder=

start_slow_cluster() {
	slow_folder=$1
	slow_images=$2
	mkdir -p "$slow_folder"
	cc -shared -fPIC -O2 -o "$slow_folder/slow_files.so" bench/slow_files.c
	start_cluster "$slow_folder/cluster" "shared_buffers = '256MB'"
}

# The delay is in the environment, so a server that is to have another one starts anew.
slow_files() { # OPEN_MS READ_MS [LIBRARY]
	local installed script library
	installed=${3:-$("${PG_CONFIG:-pg_config}" --pkglibdir)}
	script=$(ls "$("${PG_CONFIG:-pg_config}" --sharedir)"/extension/vamhash--?.?.?.sql)
	library=$slow_folder/library
	stop_cluster
	rm -rf "$library"
	mkdir "$library"
	cp "$installed/vamhash.so" "$library/"
	cat >"$library/vamhash-engine" <<SH
#!/bin/sh
SLOW_FOLDER='$slow_images' SLOW_OPEN_MS=$1 SLOW_READ_MS=$2 LD_PRELOAD='$slow_folder/slow_files.so' \\
	exec '$installed/vamhash-engine' "\$@"
SH
	chmod 755 "$library/vamhash-engine"
	chmod 755 "$library"
	(
		cd /
		as_server_user env SLOW_FOLDER="$slow_images" SLOW_OPEN_MS="$1" \
			LD_PRELOAD="$slow_folder/slow_files.so" \
			"$pg_bindir/pg_ctl" -D "$cluster_folder/data" -l "$cluster_folder/server.log" -w -s start
	)
	psql -X -q -v ON_ERROR_STOP=1 postgres <<SQL
SET client_min_messages = warning;
DROP DATABASE IF EXISTS slow;
CREATE DATABASE slow;
SQL
	{
		echo 'SET client_min_messages = warning;'
		sed -e '/^\\echo/d' -e "s#MODULE_PATHNAME#$library/vamhash#g" -e 's/@extschema@/public/g' "$script"
	} | psql -X -q -v ON_ERROR_STOP=1 slow
	export PGDATABASE=slow
}
