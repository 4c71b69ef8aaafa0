#-------------------------------------------------------------------------
#
# IU/Conformance.pm
#	  How many differences conformance finds.
#
#	  use IU::Conformance;
#	  wrong()							# in the database of talk_to
#	  wrong('copy')						# in another
#	  wrong('copy', "detail ~ 'x'")		# of which this is so
#
#-------------------------------------------------------------------------
package IU::Conformance;

use strict;
use warnings;

use parent 'Exporter';
use IU::SQL qw(sql);

our @EXPORT = qw(wrong);

sub wrong
{
	my ($database, $which) = @_;
	return sql('SELECT count(*) FROM fn_iu_conformance() WHERE NOT ok' . ($which ? " AND $which" : ''), $database);
}

1;
