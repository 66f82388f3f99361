package acl_test

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/cachenode/cachenode/acl"
)

func ExampleList_Check() {
	o := acl.DefaultOptions()
	o.Rules = []acl.Rule{{Action: "deny", Name: "adverts", Domains: []string{".ads.example"}}}
	list, err := acl.New(o)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, host := range []string{"www.example.com", "cdn.ads.example", "127.1"} {
		v := list.Check(&acl.Query{
			Client: netip.MustParseAddr("192.168.1.20"),
			Method: "GET", Scheme: "http", Host: host, Port: 80, Time: time.Now(),
		})
		fmt.Printf("%v by: %s\n", v.Allow, v.Rule)
	}
	// Output:
	// true by: allow everything else
	// false by: deny "adverts": domains .ads.example
	// false by: deny hosts that are neither a name nor a plainly written address
}

func ExampleList_DialAllowed() {
	list, err := acl.New(acl.DefaultOptions())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(list.DialAllowed(netip.MustParseAddrPort("192.0.2.1:80")))
	fmt.Println(list.DialAllowed(netip.MustParseAddrPort("[64:ff9b::169.254.169.254]:80")))
	// Output:
	// <nil>
	// destination [64:ff9b::a9fe:a9fe]:80 is not allowed: metadata
}
