# iu_core: build, install, demo, test, fuzz, losses, nemesis, lint, bench.
#
# The four floors, arrows downwards only:
#   extension -> (bgworker | fdw) -> http -> core
# Every .c file of a floor, or of a folder in one, belongs to the library. The
# extension's SQL is the concatenation of extension/sql/*.sql; the migrations are
# compiled in.

IU_VERSION = 0.1.0
FLOORS    = core http fdw bgworker extension
SOURCES   = $(wildcard $(addsuffix /*.c,$(FLOORS)) $(addsuffix /*/*.c,$(FLOORS)))
FLOOR_H   = $(wildcard $(addsuffix /*.h,$(FLOORS)) $(addsuffix /*/*.h,$(FLOORS)))

MODULE_big   = iu_core
OBJS         = $(SOURCES:.c=.o) build/migration_scripts.o
EXTENSION    = extension/iu_core
DATA_built   = build/iu_core--$(IU_VERSION).sql
EXTRA_CLEAN  = build

# Nothing of the library is inlined into the server: no bitcode, so no clang.
override with_llvm = no

PG_CPPFLAGS = -I$(srcdir) -DIU_CORE_VERSION='"$(IU_VERSION)"'
PG_CFLAGS   = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare \
              -Wno-missing-field-initializers -Wno-cast-function-type
SHLIB_LINK  = -Wl,-Bsymbolic $(shell curl-config --libs) -lrt

PG_CONFIG ?= pg_config
PGXS := $(shell test -e "$$($(PG_CONFIG) --includedir-server 2>/dev/null)/postgres.h" && $(PG_CONFIG) --pgxs)
ifneq ($(PGXS),)
include $(PGXS)

# The server's build hands over its own compiler and that compiler's flags: one
# that is here is taken, and what it does not know is left out.
ifeq ($(shell command -v $(firstword $(CC))),)
CC = cc
endif
knows = $(shell $(CC) -Werror $(1) -fsyntax-only -x c /dev/null 2>&1 || echo no)
ifneq ($(call knows,$(CFLAGS)),)
override CFLAGS := $(foreach flag,$(CFLAGS),$(if $(call knows,$(flag)),,$(flag))) -Wno-ignored-attributes
endif

# What a compiler has to say of the server's headers is not for this project to mend.
override CPPFLAGS := $(subst -I$(includedir_server),-isystem $(includedir_server),$(CPPFLAGS))
else
all install clean:
	@echo 'The PostgreSQL of PG_CONFIG=$(PG_CONFIG) has no server headers: run tools/setup, or set PG_CONFIG.' >&2
	@exit 1
endif

$(SOURCES:.c=.o): $(FLOOR_H)

build/iu_core--$(IU_VERSION).sql: $(sort $(wildcard extension/sql/*.sql))
	@mkdir -p build
	cat $^ > $@

build/migration_scripts.c: tools/embed-migrations $(sort $(wildcard sql/*/*.sql rollback/*.sql extension/sql/*.sql))
	@mkdir -p build
	perl tools/embed-migrations sql rollback extension/sql > $@.tmp && mv $@.tmp $@

# These install what they need first (Debian: apt; see tools/setup), so they
# work before there is a PostgreSQL. demo/ and test/ say what they do. Without
# PG_CONFIG they look for one that can build. Warnings are errors in the tests
# and in lint only, not for whoever builds with a compiler nobody here has seen.
.PHONY: demo demo-stop test fuzz losses nemesis lint bench reference

# MACRO=1: a change of a product factory as one script, instead.
demo:
	@tools/setup demo && demo/$(if $(MACRO),macro,demo)

demo-stop:
	@demo/stop

test:
	@tools/setup test && test/run

# Ten minutes of what remotes may answer; "make test" has one.
fuzz:
	@tools/setup test && IU_FUZZ_SECONDS=$${IU_FUZZ_SECONDS:-600} test/run tap/t/046_fdw_fuzz.pl

# What is lost when something ends in the middle of 10,000 events: a table.
losses:
	@tools/setup test && tools/setup losses && tools/losses

# Half an hour of random load and random faults; "make test" has half a minute.
nemesis:
	@tools/setup test && tools/nemesis

lint:
	@tools/setup lint && tools/lint

# docs/reference.md says what the database says; a test compares them.
reference:
	@tools/setup reference && mkdir -p build docs && tools/reference >build/reference.md && mv build/reference.md docs/

bench:
	@tools/setup bench && tools/bench
