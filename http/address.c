/*-------------------------------------------------------------------------
 *
 * address.c
 *	  Which addresses may be connected to: iu_core.allowed_networks.
 *
 * An address is checked after name resolution. A public unicast address may be
 * connected to. One that leads back to this machine, into the local network or
 * through a translator may be only where iu_core.allowed_networks holds it: a
 * name in iu_core.allowed_origins must not become a way to the cloud's metadata
 * service because its DNS entry changed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "core/compat.h"
#include "fmgr.h"
#include "http/address.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inet.h"
#include "utils/varlena.h"

PG_FUNCTION_INFO_V1(iu_address_is_allowed);

typedef struct Network
{
	int			family;			/* AF_INET or AF_INET6 */
	int			bits;			/* of the prefix */
	uint8		prefix[16];
} Network;

/* The parsed setting: one malloc'd piece, kept by the GUC machinery. */
typedef struct Networks
{
	int			count;
	Network		items[FLEXIBLE_ARRAY_MEMBER];
} Networks;

static struct
{
	char	   *text;			/* as it is set */
	const Networks *parsed;
} allowed_networks;

/* IANA's special-purpose registry for IPv4, with multicast and reserved space. */
static const Network special_ipv4[] = {
	{AF_INET, 8, {0}},			/* this host, unspecified */
	{AF_INET, 8, {10}},			/* private */
	{AF_INET, 10, {100, 64}},	/* carrier-grade NAT */
	{AF_INET, 8, {127}},		/* loopback */
	{AF_INET, 16, {169, 254}},	/* link-local, cloud metadata */
	{AF_INET, 12, {172, 16}},	/* private */
	{AF_INET, 24, {192, 0, 0}}, /* protocol assignments */
	{AF_INET, 24, {192, 0, 2}}, /* documentation */
	{AF_INET, 24, {192, 88, 99}},	/* 6to4 relays */
	{AF_INET, 16, {192, 168}},	/* private */
	{AF_INET, 15, {198, 18}},	/* benchmarks */
	{AF_INET, 24, {198, 51, 100}},	/* documentation */
	{AF_INET, 24, {203, 0, 113}},	/* documentation */
	{AF_INET, 4, {224}},		/* multicast */
	{AF_INET, 4, {240}},		/* reserved, broadcast */
};

/*
 * Only 2000::/3 is global unicast, which leaves out loopback, unspecified,
 * NAT64, unique local, link-local, site-local, multicast and discard; these
 * are the exceptions inside it.
 */
static const Network global_ipv6 = {AF_INET6, 3, {0x20}};
static const Network special_ipv6[] = {
	{AF_INET6, 23, {0x20, 0x01, 0x00}}, /* protocol assignments, Teredo */
	{AF_INET6, 32, {0x20, 0x01, 0x0d, 0xb8}},	/* documentation */
	{AF_INET6, 16, {0x20, 0x02}},	/* 6to4 */
	{AF_INET6, 20, {0x3f, 0xff}},	/* documentation */
};

static const uint8 mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* Whether two addresses have the same first bits. */
static bool
prefix_matches(const uint8 *address, const uint8 *prefix, int bits)
{
	int			whole = bits / 8;
	int			rest = bits % 8;

	if (memcmp(address, prefix, whole) != 0)
		return false;
	return rest == 0 || ((address[whole] ^ prefix[whole]) >> (8 - rest)) == 0;
}

static bool
in_networks(int family, const uint8 *address, const Network *networks, int count)
{
	int			i;

	for (i = 0; i < count; i++)
		if (networks[i].family == family &&
			prefix_matches(address, networks[i].prefix, networks[i].bits))
			return true;
	return false;
}

/*
 * Whether an address may be connected to; an IPv4 address that is mapped into
 * IPv6 counts as IPv4.
 *
 * address: the bytes of it, 4 or 16.
 */
static bool
is_allowed_address(int family, const uint8 *address)
{
	if (family == AF_INET6 && memcmp(address, mapped_prefix, sizeof(mapped_prefix)) == 0)
		return is_allowed_address(AF_INET, address + sizeof(mapped_prefix));

	if (allowed_networks.parsed != NULL &&
		in_networks(family, address, allowed_networks.parsed->items, allowed_networks.parsed->count))
		return true;
	if (family == AF_INET)
		return !in_networks(family, address, special_ipv4, lengthof(special_ipv4));
	return in_networks(family, address, &global_ipv6, 1) &&
		!in_networks(family, address, special_ipv6, lengthof(special_ipv6));
}

/*
 * Whether this peer may be connected to. Allocates nothing and raises nothing,
 * as it is called from inside libcurl.
 */
bool
iu_address_allows(const struct sockaddr *peer)
{
	switch (peer->sa_family)
	{
		case AF_INET:
			return is_allowed_address(AF_INET, (const uint8 *) &((const struct sockaddr_in *) peer)->sin_addr);
		case AF_INET6:
			return is_allowed_address(AF_INET6, (const uint8 *) &((const struct sockaddr_in6 *) peer)->sin6_addr);
		default:
			return false;
	}
}

/* Reads an entry of the setting: NULL and *network filled, or what is wrong with the entry. */
static const char *
parse_network(const char *entry, Network *network)
{
	char		address[INET6_ADDRSTRLEN];
	const char *slash = strchr(entry, '/');
	size_t		length = slash ? (size_t) (slash - entry) : strlen(entry);
	int			widest;
	int			i;

	if (length >= sizeof(address))
		return "it is not an IPv4 or IPv6 address";
	memcpy(address, entry, length);
	address[length] = '\0';

	memset(network, 0, sizeof(Network));
	network->family = strchr(address, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(network->family, address, network->prefix) != 1)
		return "it is not an IPv4 or IPv6 address";
	if (network->family == AF_INET6 &&
		memcmp(network->prefix, mapped_prefix, sizeof(mapped_prefix)) == 0)
		return "an IPv4 network is written as IPv4";

	widest = network->family == AF_INET6 ? 128 : 32;
	network->bits = widest;
	if (slash != NULL)
	{
		const char *digits = slash + 1;

		if (strlen(digits) < 1 || strlen(digits) > 3 ||
			strspn(digits, "0123456789") != strlen(digits) ||
			(network->bits = atoi(digits)) > widest)
			return "the length of the prefix is not a number in range";
	}
	for (i = network->bits; i < widest; i++)
		if (network->prefix[i / 8] & (0x80 >> (i % 8)))
			return "bits to the right of the prefix are set";
	return NULL;
}

/* GUC check hook: takes a list of which every entry is a network. */
static bool
check_networks(char **newval, void **extra, GucSource source)
{
	List	   *entries = NIL;
	char	   *copy = pstrdup(*newval ? *newval : "");
	Networks   *parsed = NULL;
	bool		good;
	ListCell   *cell;

	good = SplitGUCList(copy, ',', &entries);
	if (!good)
		GUC_check_errdetail("The list must be networks separated by commas, for example 127.0.0.1/32, fd00::/8.");
	else
	{
		parsed = iu_guc_malloc(offsetof(Networks, items) + sizeof(Network) * (list_length(entries) + 1));
		good = parsed != NULL;
	}
	if (good)
		parsed->count = 0;
	foreach(cell, entries)
	{
		const char *problem;

		if (!good)
			break;
		problem = parse_network((const char *) lfirst(cell), &parsed->items[parsed->count++]);
		if (problem != NULL)
		{
			GUC_check_errdetail("Entry \"%s\" is not a network: %s. An entry is address/bits or a single address, "
								"for example 127.0.0.1/32 or fd00::/8.",
								(const char *) lfirst(cell), problem);
			good = false;
		}
	}
	list_free(entries);
	pfree(copy);
	if (!good && parsed != NULL)
		iu_guc_free(parsed);
	if (good)
		*extra = parsed;
	return good;
}

/* GUC assign hook. */
static void
assign_networks(const char *newval, void *extra)
{
	allowed_networks.parsed = extra;
}

/* Defines iu_core.allowed_networks. */
void
iu_address_define_setting(void)
{
	DefineCustomStringVariable("iu_core.allowed_networks",
							   "Networks that are not public and may be reached all the same.",
							   "A comma-separated list such as 127.0.0.1/32, 10.1.0.0/16. "
							   "Empty: public addresses only.",
							   &allowed_networks.text, "", PGC_SIGHUP, GUC_LIST_INPUT,
							   check_networks, assign_networks, NULL);
}

/* iu_core.address_is_allowed(inet); the netmask plays no part. */
Datum
iu_address_is_allowed(PG_FUNCTION_ARGS)
{
	inet	   *address;

	if (PG_ARGISNULL(0))
		PG_RETURN_BOOL(false);
	address = PG_GETARG_INET_PP(0);
	PG_RETURN_BOOL(is_allowed_address(ip_family(address) == PGSQL_AF_INET ? AF_INET : AF_INET6,
									  ip_addr(address)));
}
