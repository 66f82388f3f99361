package plot

import (
	"html"
	"html/template"
	"math"
	"strconv"
	"strings"
)

// doc writes markup; what it is given as text or attribute is escaped.
type doc struct{ b strings.Builder }

// open begins an image with its name for those who cannot see it.
func open(id, title string, w, h float64) *doc {
	d := &doc{}
	d.start("svg", "id", id, "class", "plot", "role", "img", "aria-labelledby", id+"-title", "viewBox", "0 0 "+num(w)+" "+num(h))
	d.start("title", "id", id+"-title")
	d.b.WriteString(html.EscapeString(clean(title)))
	d.end("title")
	return d
}

func (d *doc) start(name string, attributes ...string) {
	d.b.WriteString("<" + name)
	for i := 0; i+1 < len(attributes); i += 2 {
		d.b.WriteString(" " + attributes[i] + `="` + html.EscapeString(clean(attributes[i+1])) + `"`)
	}
	d.b.WriteString(">")
}

func (d *doc) end(name string) { d.b.WriteString("</" + name + ">") }

func (d *doc) el(name string, attributes ...string) {
	d.start(name, attributes...)
	d.end(name)
}

func (d *doc) leaf(name, text string, attributes ...string) {
	d.start(name, attributes...)
	d.b.WriteString(html.EscapeString(clean(text)))
	d.end(name)
}

func (d *doc) text(x, y float64, anchor, s string) {
	d.leaf("text", s, "x", num(x), "y", num(y), "text-anchor", anchor)
}

//nolint:gosec // every text and attribute went through html.EscapeString
func (d *doc) html() template.HTML { return template.HTML(d.b.String()) }

// clean replaces what HTML does not allow even when it is escaped.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || r == 0xfffe || r == 0xffff {
			return '�'
		}
		return r
	}, strings.ToValidUTF8(s, "�"))
}

func colour(i int) string { return "c" + strconv.Itoa(i%palette) }

func itoa(n int) string { return strconv.Itoa(n) }

// num prints a coordinate; what is no number is 0.
func num(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		v = 0
	}
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}

func legend(series []Series) template.HTML {
	if len(series) < 2 {
		return ""
	}
	d := &doc{}
	d.start("ul", "class", "legend")
	for i, s := range series {
		d.start("li", "class", colour(i))
		d.el("span", "class", "key")
		d.b.WriteString(html.EscapeString(clean(s.Name)))
		d.end("li")
	}
	d.end("ul")
	return d.html()
}
