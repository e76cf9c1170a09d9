@	SOA ns1 dns-admin (
        1      ; serial
        7200   ; refresh
        30M    ; retry
        3D     ; expire
        900    ; ncache
)

@	NS	ns1.example.com.
@	NS	ns.example.net.

ns1	A	192.0.2.100 ; a comment

@	600	MX	10 mail-a
mail-a	A 192.0.2.101

www	600	DYNA	geoip!prod_www
www-de	600/10	DYNA	geoip!prod_www/de-01
app	600/60	DYNA	geoip!prod_app
	MX	10 mail-a
content	600	DYNC	geoip!prod_cdn
foo	700	DYNA	metafo!prod_foo
web4	180	DYNA	multifo!v4www
simple	180	DYNA	simplefo!pubwww
single	300	DYNA	weighted!single
several	300	DYNA	weighted!several
corp	300	DYNC	weighted!corpwww
fixed	300	DYNA	static!foo
baz	300	DYNC	static!baz
$INCLUDE included/hosts static.@Z
alias	CNAME	www
