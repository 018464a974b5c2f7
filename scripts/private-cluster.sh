# To be sourced: a PostgreSQL server of our own, in a folder of its own, reached by a Unix socket
# only. As root, who may not run PostgreSQL, it runs as the user postgres.
#
#   start_cluster FOLDER [SETTING=VALUE ...]   makes and starts it; exports PGHOST, PGPORT, PGUSER
#   stop_cluster                               stops it; the folder stays
#   as_server_user COMMAND ...                 runs a command as the user the server runs as

pg_bindir=$("${PG_CONFIG:-pg_config}" --bindir)
cluster_folder=

as_server_user() {
	if [ "$(id -u)" -eq 0 ]; then
		runuser -u postgres -- "$@"
	else
		"$@"
	fi
}

start_cluster() {
	cluster_folder=$1
	shift
	mkdir -p "$cluster_folder"
	if [ "$(id -u)" -eq 0 ]; then
		chown postgres: "$cluster_folder"
	fi
	# Not in the caller's folder, which the server's user may not be able to enter.
	(
		cd /
		as_server_user "$pg_bindir/initdb" -D "$cluster_folder/data" -U postgres -A trust -E UTF8 \
			--locale=C.UTF-8 --no-sync >"$cluster_folder/initdb.log"
		{
			echo "listen_addresses = ''"
			echo "unix_socket_directories = '$cluster_folder'"
			echo "fsync = off"
			printf '%s\n' "$@"
		} | as_server_user tee -a "$cluster_folder/data/postgresql.conf" >/dev/null
		as_server_user "$pg_bindir/pg_ctl" -D "$cluster_folder/data" -l "$cluster_folder/server.log" \
			-w -s start || {
			cat "$cluster_folder/server.log" >&2
			exit 1
		}
	)
	export PGHOST=$cluster_folder PGPORT=5432 PGUSER=postgres
	unset PGDATABASE PGSERVICE PGOPTIONS
}

stop_cluster() {
	if [ -n "$cluster_folder" ] && [ -f "$cluster_folder/data/postmaster.pid" ]; then
		(cd / && as_server_user "$pg_bindir/pg_ctl" -D "$cluster_folder/data" -m fast -w -s stop)
	fi
}
