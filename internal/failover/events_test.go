package failover

import "time"

// event is something that happens to a cluster in use: a row of the table in
// docs/failover.md.
type event struct {
	name string
	// planned: whoever uses the cluster must not notice it, no request may fail
	// and no download break.
	planned bool
	// begin makes it happen, with the clients at work. The holder afterwards is one
	// of those returned; nil: the same as before.
	begin func(c *cluster) (holds []int)
	// downloads is how many are under way.
	downloads int
	// once: a client that asks for one page after the other fails once at most.
	once bool
	// two: two may have the address at a time, one after the other.
	two bool
	// lasts is how long it goes on when measured, at least.
	lasts time.Duration
	must  limits
}

// scenario is a row of events, each upon the cluster that the one before left.
type scenario struct {
	name   string
	nodes  int
	events []event
}

// limits are what must be reached; zero: nothing is asked.
type limits struct {
	text          string
	gap, gapWorst time.Duration // the longest time without an answer
	last          time.Duration // when the last request began that fails, after the event
	lastNew       time.Duration // the same, of those on new connections
	holder        time.Duration // when the last change of the holder was, after the event
}

const (
	whenHolderDies = "gap ≤ 0.35 s, at worst 0.6 s; last failure ≤ 1 s"
	nobodyNotices  = "0 failed, 0 reset, downloads whole"
)

func dying() limits {
	return limits{text: whenHolderDies, gap: 350 * time.Millisecond, gapWorst: 600 * time.Millisecond, last: time.Second}
}

func unnoticed() limits { return limits{text: nobodyNotices} }

// comesBack is the return of the nodes that are not there.
func comesBack(name string) event {
	return event{name: name, planned: true, downloads: 4, begin: func(c *cluster) []int { c.restore(); return nil }, must: limits{text: "0 failed, no pre-emption"}}
}

func toHolder(what func(c *cluster, i int)) func(c *cluster) []int {
	return func(c *cluster) []int { i := c.holder(); what(c, i); return c.but(i) }
}

func toOther(what func(c *cluster, i int)) func(c *cluster) []int {
	return func(c *cluster) []int { what(c, c.other()); return nil }
}

func scenarios() []scenario {
	return []scenario{
		{name: "HolderPulled", nodes: 4, events: []event{
			{name: "holder: cable pulled", once: true, begin: toHolder((*cluster).pull), must: dying()},
			comesBack("its cable is back"),
		}},
		{name: "HolderBlackHole", nodes: 4, events: []event{
			{name: "holder: black hole (frames vanish, carrier stays)", once: true, begin: toHolder((*cluster).blackHole), must: dying()},
			comesBack("its frames pass again"),
		}},
		{name: "HolderPowerCut", nodes: 4, events: []event{
			{name: "holder: power cut", once: true, begin: toHolder((*cluster).cutPower), must: dying()},
			comesBack("it boots"),
		}},
		{name: "OtherKilled", nodes: 4, events: []event{
			{name: "another node: process killed", once: true, begin: toOther((*cluster).kill), downloads: 8, must: other()},
			comesBack("it is started again"),
		}},
		{name: "OtherPulled", nodes: 4, events: []event{
			{name: "another node: cable pulled", once: true, begin: toOther((*cluster).pull), must: other()},
		}},
		{name: "HolderHangs", nodes: 4, events: []event{
			{name: "holder: process hangs (SIGSTOP)", begin: toHolder((*cluster).hang), lasts: 10 * time.Second,
				must: limits{text: "VIP elsewhere ≤ 3 s", holder: 3 * time.Second}},
			{name: "it goes on after 10 s (SIGCONT)", lasts: 5 * time.Second, begin: func(c *cluster) []int { c.wakeAll(); return nil },
				must: limits{text: "no second holder, no flap"}},
		}},
		{name: "Drain", nodes: 4, events: []event{
			{name: "drain of a node", planned: true, downloads: 8, begin: toOther((*cluster).drain), must: unnoticed()},
			{name: "undrain", planned: true, begin: func(c *cluster) []int { c.undrain(); return nil }, must: unnoticed()},
		}},
		{name: "DrainHolder", nodes: 4, events: []event{
			{name: "drain of the holder", planned: true, downloads: 8, two: true, begin: toHolder((*cluster).drain), must: unnoticed()},
		}},
		{name: "RollingRestart", nodes: 4, events: []event{
			{name: "rolling restart of all nodes", planned: true, downloads: 8, two: true, begin: func(c *cluster) []int { c.restartAll(); return c.all() }, must: unnoticed()},
		}},
		{name: "SplitEven", nodes: 4, events: []event{
			{name: "split 2+2", begin: func(c *cluster) []int {
				i := c.holder()
				others := c.but(i)
				c.net.Split(c.hosts([]int{i, others[0]}), c.hosts(others[1:]))
				return nil
			}, must: limits{text: "one holder"}},
			heals("heal of 2+2"),
		}},
		{name: "SplitMajority", nodes: 4, events: []event{
			{name: "split 3+1", begin: func(c *cluster) []int {
				out := c.other()
				c.net.Split(c.hosts(c.but(out)), c.hosts([]int{out}))
				return nil
			}, must: limits{text: "one holder"}},
			heals("heal of 3+1"),
		}},
		{name: "SplitHolderAlone", nodes: 4, events: []event{
			{name: "split 1+3, the holder alone", begin: func(c *cluster) []int {
				i := c.holder()
				c.net.Split(c.hosts([]int{i}), c.hosts(c.but(i)))
				return c.but(i)
			}, must: limits{text: "one holder"}},
			heals("heal of 1+3"),
		}},
		{name: "TwoNodes", nodes: 2, events: []event{
			{name: "two nodes: the holder's power is cut", once: true, begin: toHolder((*cluster).cutPower), must: limits{text: "served ≤ 1 s", last: time.Second}},
			comesBack("two nodes: it boots"),
			{name: "two nodes: the other one's power is cut", once: true, begin: toOther((*cluster).cutPower), must: limits{text: "served ≤ 1 s", last: time.Second}},
		}},
		{name: "ColdStart", nodes: 2, events: []event{startsTogether("two nodes: both start together")}},
		{name: "ColdStartOfThree", nodes: 3, events: []event{startsTogether("three nodes: all start together")}},
		{name: "ColdStartAlone", nodes: 1, events: []event{startsTogether("a node that is alone starts")}},
		{name: "AnnouncementLost", nodes: 4, events: []event{
			{name: "holder: power cut, and the announcements of the new one lost for 0.3 s", begin: (*cluster).loseAnnouncements,
				must: limits{text: "recovered ≤ 2 s", gap: 2 * time.Second, gapWorst: 2 * time.Second, last: 2 * time.Second}},
		}},
	}
}

func other() limits {
	return limits{text: "0 failed new connections after 0.5 s; kept ones fail at most once", lastNew: 500 * time.Millisecond}
}

func startsTogether(name string) event {
	return event{name: name, begin: (*cluster).coldStart, must: limits{text: "served ≤ 1 s, one holder", last: time.Second}}
}

func heals(name string) event {
	return event{name: name, begin: func(c *cluster) []int { c.net.Heal(); return nil },
		must: limits{text: "one holder ≤ 1 s, served ≤ 1 s", gap: time.Second, gapWorst: time.Second, last: time.Second, holder: time.Second}}
}
