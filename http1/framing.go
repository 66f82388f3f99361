package http1

// What decides where a request ends (RFC 9112 §6.3), and whether another may
// follow.

func (r *Request) contentLength(v []byte) *problem {
	if r.marks&hasLength != 0 {
		return twoLengths
	}
	r.marks |= hasLength
	n, ok := decimal(v)
	if !ok {
		return badLength
	}
	r.Length = n
	return nil
}

// transferCoding accepts chunked alone. A coding that is none we know is one we
// cannot do; a known one in the wrong place leaves the end of the body open.
func (r *Request) transferCoding(v []byte) *problem {
	if r.marks&hasCoding != 0 {
		return twoCodings
	}
	r.marks |= hasCoding
	if equalFold(v, "chunked") {
		return nil
	}
	bad, chunked := badCoding, false
	for rest := v; rest != nil; {
		var coding []byte
		coding, rest = member(rest)
		switch {
		case !isToken(coding) || chunked: // chunked must be the last, and once
			return badCoding
		case equalFold(coding, "chunked"):
			chunked, bad = true, unknownCoding // in front of it stands another
		case !registered(coding):
			bad = unknownCoding
		}
	}
	return bad
}

// registered reports a transfer coding of the registry (RFC 9112 §7.2), and
// identity, which once was one.
func registered(coding []byte) bool {
	for _, name := range [...]string{"gzip", "x-gzip", "deflate", "compress", "x-compress", "identity"} {
		if equalFold(coding, name) {
			return true
		}
	}
	return false
}

func (r *Request) expect(v []byte) *problem {
	if !equalFold(v, "100-continue") {
		return badExpect
	}
	r.marks |= hasExpect
	return nil
}

func (r *Request) connection(v []byte) {
	for rest := v; rest != nil; {
		var option []byte
		if option, rest = member(rest); equalFold(option, "close") {
			r.marks |= wantsClose
		}
	}
}

// settle judges what only the whole head tells.
func (r *Request) settle() *problem {
	if r.marks&hasHost == 0 && r.Minor == 1 {
		return noHost
	}
	if !validHost(r.Host) {
		return badHost
	}
	if r.marks&hasCoding != 0 {
		switch {
		case r.marks&hasLength != 0:
			return lengthCoding
		case r.Minor == 0:
			return oldCoding
		}
		r.Length = -1
	}
	if r.Minor == 0 {
		r.marks &^= hasExpect // RFC 9110 §10.1.1
		r.Persist = false     // RFC 9112 §9.3: a proxy must not
	}
	if r.marks&wantsClose != 0 {
		r.Persist = false
	}
	return r.targetForm()
}

// targetForm judges the form of the target by the method (RFC 9112 §3.2). A
// URL's own parts are judged by whoever uses it.
func (r *Request) targetForm() *problem {
	switch {
	case string(r.Method) == "CONNECT":
		r.marks |= isConnect
		if r.marks&(hasLength|hasCoding) != 0 {
			return connectBody
		}
	case r.Target[0] == '/', letter(r.Target[0]): // origin or absolute
	case string(r.Target) == "*" && string(r.Method) == "OPTIONS":
	default:
		return badTarget
	}
	return nil
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
