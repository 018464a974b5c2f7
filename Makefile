# Builds, installs and tests vamhash with PostgreSQL's extension makefiles (PGXS): vamhash.so from
# src/pg and the install script from sql/install here, the engine by CMake.
#
#   make                    build everything            (PG_CONFIG=... picks the server)
#   make install            install it for that server
#   make installcheck       the SQL tests, on a running server
#   make prove_installcheck the tests that start servers of their own; not as root

PG_CONFIG ?= pg_config

EXTENSION = vamhash
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" vamhash.control)

MODULE_big = vamhash
PGFILEDESC = "vamhash - perceptual image hashes"
OBJS = $(patsubst %.cpp,%.o,$(sort $(wildcard src/pg/*.cpp)))

INSTALL_SCRIPT_PARTS = $(sort $(wildcard sql/install/*.sql))
DATA = $(wildcard sql/updates/vamhash--*--*.sql)
DATA_built = $(EXTENSION)--$(EXTVERSION).sql

# One subject a test; the list is the order in which a reader learns the product.
REGRESS = extension phash64 phash64_opclass hamming hamming_estimate image bulk hash_catalog flat_hash similar_pairs \
	similar_pairs_between similar_groups join_settings devices progress statistics
REGRESS_OPTS = --load-extension=$(EXTENSION)

# PostgreSQL's headers as system headers, so that only our own code is warned of.
PG_CPPFLAGS := -Isrc -isystem $(shell $(PG_CONFIG) --includedir-server) \
	-DVAMHASH_VERSION='"$(EXTVERSION)"'
# C++ in its syntax only: see src/pg/postgres.hpp.
VAMHASH_CXXFLAGS = -std=c++20 -fno-exceptions -fno-rtti -fno-threadsafe-statics -fvisibility=hidden
# A compiler newer than ours may warn of more; the tests build with WERROR=-Werror.
WERROR ?=
PG_CXXFLAGS = $(VAMHASH_CXXFLAGS) -Wall -Wextra $(WERROR) -MMD -MP
SHLIB_LINK = -lm
EXTRA_CLEAN = $(OBJS:.o=.d) build/engine tmp_check

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# The bitcode for JIT inlining is compiled by clang; it follows its object when a header changes.
override BITCODE_CXXFLAGS += $(VAMHASH_CXXFLAGS)
$(OBJS:.o=.bc): %.bc: %.o

-include $(OBJS:.o=.d)
$(OBJS) $(OBJS:.o=.bc): vamhash.control Makefile

$(DATA_built): $(INSTALL_SCRIPT_PARTS) vamhash.control Makefile
	( printf '%s\n' '\echo Use "CREATE EXTENSION $(EXTENSION)" to load this file. \quit'; \
	  for part in $(INSTALL_SCRIPT_PARTS); do echo; cat $$part || exit 1; done ) > $@.tmp
	mv $@.tmp $@

# The engine: one program for CMake, which alone knows whether it is out of date. Another folder of
# CMake's, such as that of the unit tests, does as well.
CMAKE ?= cmake
ENGINE_BUILD ?= build/engine
ENGINE = $(ENGINE_BUILD)/src/engine/vamhash-engine
# Each is built where its library is found; without one, the engine has a join method, some image
# formats or a kind of devices less.
PLUGINS = vamhash_faiss.so vamhash_heif.so vamhash_raw.so vamhash_opencl.so vamhash_cuda.so

all: engine

.PHONY: engine
engine:
	$(CMAKE) -S . -B $(ENGINE_BUILD) -DCMAKE_BUILD_TYPE=Release
	+$(CMAKE) --build $(ENGINE_BUILD) --target vamhash-engine

install: install-engine
.PHONY: install-engine
install-engine: engine installdirs
	$(INSTALL_PROGRAM) $(ENGINE) '$(DESTDIR)$(pkglibdir)/vamhash-engine'
	for plugin in $(PLUGINS); do \
		if [ -f $(dir $(ENGINE))$$plugin ]; then \
			$(INSTALL_SHLIB) $(dir $(ENGINE))$$plugin '$(DESTDIR)$(pkglibdir)/'$$plugin || exit 1; \
		else \
			rm -f '$(DESTDIR)$(pkglibdir)/'$$plugin; \
		fi; \
	done

uninstall: uninstall-engine
.PHONY: uninstall-engine
uninstall-engine:
	rm -f $(patsubst %,'$(DESTDIR)$(pkglibdir)/%',vamhash-engine $(PLUGINS))

# Servers of the tests' own, with what is installed. PostgreSQL's Perl modules are not in every
# package of it, so this is not part of installcheck. PROVE_TESTS picks some of the files.
PROVE_TESTS ?= $(wildcard tests/tap/*.pl)
PROVE_DIR ?= $(CURDIR)/tmp_check

.PHONY: prove_installcheck
prove_installcheck:
	rm -rf '$(PROVE_DIR)' && mkdir -p '$(PROVE_DIR)/log'
	PATH="$(bindir):$$PATH" PG_REGRESS='$(top_builddir)/src/test/regress/pg_regress' \
		TESTDIR='$(PROVE_DIR)' TESTDATADIR='$(PROVE_DIR)' TESTLOGDIR='$(PROVE_DIR)/log' \
		$(PROVE) -I $(top_srcdir)/src/test/perl $(PROVE_FLAGS) $(PROVE_TESTS)
