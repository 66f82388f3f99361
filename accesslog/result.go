package accesslog

import "strings"

// tagNames are squid's spellings, in the order of the Tag constants.
var tagNames = [...]string{
	TagNone:              "NONE",
	TagHit:               "HIT",
	TagMemHit:            "MEM_HIT",
	TagMiss:              "MISS",
	TagRefreshUnmodified: "REFRESH_UNMODIFIED",
	TagRefreshModified:   "REFRESH_MODIFIED",
	TagRefreshFailOld:    "REFRESH_FAIL_OLD",
	TagRefreshFailErr:    "REFRESH_FAIL_ERR",
	TagClientRefreshMiss: "CLIENT_REFRESH_MISS",
	TagIMSHit:            "IMS_HIT",
	TagINMHit:            "INM_HIT",
	TagSwapFailMiss:      "SWAPFAIL_MISS",
	TagNegativeHit:       "NEGATIVE_HIT",
	TagDenied:            "DENIED",
	TagOfflineHit:        "OFFLINE_HIT",
	TagRedirect:          "REDIRECT",
	TagTunnel:            "TUNNEL",
	TagMissNoFetch:       "MISS_NOFETCH",
	TagInvalid:           "INVALID",
}

// String returns squid's spelling without prefix and suffixes: MEM_HIT.
func (t Tag) String() string {
	if int(t) >= len(tagNames) {
		return tagNames[TagNone]
	}
	return tagNames[t]
}

// Hit reports whether squid counts the tag as a hit: what was sent came from
// the store, revalidated or not.
func (t Tag) Hit() bool {
	switch t {
	case TagHit, TagMemHit, TagIMSHit, TagINMHit, TagNegativeHit, TagOfflineHit,
		TagRefreshUnmodified, TagRefreshFailOld:
		return true
	}
	return false
}

// The bits of a Result in resultNames.
const (
	bitNone = 1 << iota
	bitCollapsed
	bitTimedOut
	bitAborted
	bitUDP
	resultBits = 5
)

// resultNames spells every result once, so that String never allocates.
var resultNames = func() (names [len(tagNames) << resultBits]string) {
	for i := range names {
		names[i] = spell(Tag(i>>resultBits), i&(1<<resultBits-1))
	}
	return names
}()

func spell(t Tag, bits int) string {
	parts := make([]string, 0, 5)
	if bits&bitNone != 0 || t == TagNone {
		parts = append(parts, "NONE")
	} else if bits&bitUDP != 0 {
		parts = append(parts, "UDP")
	} else {
		parts = append(parts, "TCP")
	}
	for _, s := range []struct {
		bit  int
		text string
	}{{bitCollapsed, "CF"}, {0, t.String()}, {bitTimedOut, "TIMEDOUT"}, {bitAborted, "ABORTED"}} {
		if s.bit == 0 || bits&s.bit != 0 {
			parts = append(parts, s.text)
		}
	}
	return strings.Join(parts, "_")
}

// String returns squid's result code, such as TCP_MEM_HIT, TCP_CF_MISS_ABORTED
// or NONE_NONE. It does not allocate.
func (r Result) String() string {
	i := int(r.Tag)
	if i >= len(tagNames) {
		i = int(TagNone)
	}
	i <<= resultBits
	if r.None {
		i |= bitNone
	}
	if r.UDP {
		i |= bitUDP
	}
	if r.Collapsed {
		i |= bitCollapsed
	}
	if r.TimedOut {
		i |= bitTimedOut
	}
	if r.Aborted {
		i |= bitAborted
	}
	return resultNames[i]
}

// hierNames are squid's spellings, in the order of the Hier constants.
var hierNames = [...]string{
	HierNone:             "HIER_NONE",
	HierDirect:           "HIER_DIRECT",
	HierSiblingHit:       "SIBLING_HIT",
	HierParentHit:        "PARENT_HIT",
	HierCDSiblingHit:     "CD_SIBLING_HIT",
	HierCARP:             "CARP",
	HierFirstUpParent:    "FIRSTUP_PARENT",
	HierRoundRobinParent: "ROUNDROBIN_PARENT",
	HierSourceHashParent: "SOURCEHASH_PARENT",
	HierOriginalDst:      "ORIGINAL_DST",
	HierPinned:           "PINNED",
}

// String returns squid's hierarchy code.
func (h Hier) String() string {
	if int(h) >= len(hierNames) {
		return hierNames[HierNone]
	}
	return hierNames[h]
}
