package cloudtest

import (
	"cmp"
	"crypto/md5"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// azure answers the requests of Azure's Blob REST API that gocloud's azureblob makes for an artifact store: read a blob or a range of it,
// its properties, write it at once or in blocks, copy, delete, list. It holds blobs in memory, for one account and one container, and wants
// an Authorization header without checking its signature.
type azure struct {
	root string // /account/container

	mu     sync.Mutex
	blobs  map[string]azureBlob
	blocks map[string][]byte // by blob and block id: staged and not committed
	writes int
}

type azureBlob struct {
	data     []byte
	kind     string // its Content-Type
	etag     string
	modified time.Time
}

func newAzure(account, container string) *azure {
	return &azure{root: "/" + account + "/" + container, blobs: map[string]azureBlob{}, blocks: map[string][]byte{}}
}

func (a *azure) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	name, below := strings.CutPrefix(r.URL.Path, a.root+"/")
	query := r.URL.Query()
	switch {
	case r.Header.Get("Authorization") == "":
		azureRefuse(w, http.StatusUnauthorized, "NoAuthenticationInformation")
	case r.URL.Path == a.root && r.Method == http.MethodGet && query.Get("comp") == "list":
		a.list(w, query)
	case !below:
		azureRefuse(w, http.StatusNotFound, "ContainerNotFound")
	case r.Method == http.MethodGet, r.Method == http.MethodHead:
		a.read(w, r, name)
	case r.Method == http.MethodDelete:
		a.delete(w, name)
	case r.Method == http.MethodPut && query.Get("comp") == "block":
		a.blocks[name+" "+query.Get("blockid")] = body
		w.WriteHeader(http.StatusCreated)
	case r.Method == http.MethodPut && query.Get("comp") == "blocklist":
		a.commit(w, r, name, body)
	case r.Method == http.MethodPut && r.Header.Get("x-ms-copy-source") != "":
		a.copy(w, r, name)
	case r.Method == http.MethodPut && r.Header.Get("x-ms-blob-type") == "BlockBlob":
		a.write(w, r, name, body)
	default:
		azureRefuse(w, http.StatusBadRequest, "UnsupportedHttpVerb")
	}
}

func (a *azure) read(w http.ResponseWriter, r *http.Request, name string) {
	blob, ok := a.blobs[name]
	if !ok {
		azureRefuse(w, http.StatusNotFound, "BlobNotFound")
		return
	}
	first, last := 0, len(blob.data)-1
	status := http.StatusOK
	if asked := cmp.Or(r.Header.Get("x-ms-range"), r.Header.Get("Range")); asked != "" {
		from, to, _ := strings.Cut(strings.TrimPrefix(asked, "bytes="), "-")
		first, _ = strconv.Atoi(from)
		if n, err := strconv.Atoi(to); err == nil {
			last = min(last, n)
		}
		if first >= len(blob.data) {
			azureRefuse(w, http.StatusRequestedRangeNotSatisfiable, "InvalidRange")
			return
		}
		status = http.StatusPartialContent
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(blob.data)))
	}
	w.Header().Set("Content-Length", strconv.Itoa(last+1-first))
	w.Header().Set("Content-Type", blob.kind)
	w.Header().Set("ETag", blob.etag)
	w.Header().Set("Last-Modified", azureTime(blob.modified))
	w.Header().Set("x-ms-creation-time", azureTime(blob.modified))
	w.Header().Set("x-ms-blob-type", "BlockBlob")
	w.WriteHeader(status)
	if r.Method == http.MethodGet {
		_, _ = w.Write(blob.data[first : last+1])
	}
}

// write stores a blob if the request's condition holds.
func (a *azure) write(w http.ResponseWriter, r *http.Request, name string, data []byte) {
	if _, taken := a.blobs[name]; taken && r.Header.Get("If-None-Match") == "*" {
		azureRefuse(w, http.StatusConflict, "BlobAlreadyExists")
		return
	}
	a.put(name, data, r.Header.Get("x-ms-blob-content-type"))
	w.Header().Set("ETag", a.blobs[name].etag)
	w.Header().Set("Last-Modified", azureTime(a.blobs[name].modified))
	w.WriteHeader(http.StatusCreated)
}

func (a *azure) put(name string, data []byte, kind string) {
	a.writes++
	a.blobs[name] = azureBlob{data: data, kind: kind, etag: fmt.Sprintf(`"0x%X"`, a.writes), modified: time.Now()}
}

// commit makes a blob of staged blocks.
func (a *azure) commit(w http.ResponseWriter, r *http.Request, name string, list []byte) {
	var blocks struct {
		Latest []string `xml:"Latest"`
	}
	if err := xml.Unmarshal(list, &blocks); err != nil {
		azureRefuse(w, http.StatusBadRequest, "InvalidXmlDocument")
		return
	}
	var data []byte
	for _, id := range blocks.Latest {
		block, ok := a.blocks[name+" "+id]
		if !ok {
			azureRefuse(w, http.StatusBadRequest, "InvalidBlockList")
			return
		}
		data = append(data, block...)
	}
	a.write(w, r, name, data)
}

func (a *azure) copy(w http.ResponseWriter, r *http.Request, name string) {
	source, err := url.Parse(r.Header.Get("x-ms-copy-source"))
	if err != nil {
		azureRefuse(w, http.StatusBadRequest, "InvalidHeaderValue")
		return
	}
	blob, ok := a.blobs[strings.TrimPrefix(source.Path, a.root+"/")]
	if !ok {
		azureRefuse(w, http.StatusNotFound, "BlobNotFound")
		return
	}
	a.put(name, blob.data, blob.kind)
	w.Header().Set("x-ms-copy-id", strconv.Itoa(a.writes))
	w.Header().Set("x-ms-copy-status", "success")
	w.WriteHeader(http.StatusAccepted)
}

func (a *azure) delete(w http.ResponseWriter, name string) {
	if _, ok := a.blobs[name]; !ok {
		azureRefuse(w, http.StatusNotFound, "BlobNotFound")
		return
	}
	delete(a.blobs, name)
	w.WriteHeader(http.StatusAccepted)
}

type azureListing struct {
	XMLName xml.Name      `xml:"EnumerationResults"`
	Blobs   []azureListed `xml:"Blobs>Blob"`
	Next    string        `xml:"NextMarker"`
}

type azureListed struct {
	Name     string
	Created  string `xml:"Properties>Creation-Time"`
	Modified string `xml:"Properties>Last-Modified"`
	Etag     string `xml:"Properties>Etag"`
	Length   int    `xml:"Properties>Content-Length"`
	Sum      string `xml:"Properties>Content-MD5"`
	Type     string `xml:"Properties>BlobType"`
}

func (a *azure) list(w http.ResponseWriter, query url.Values) {
	most, err := strconv.Atoi(query.Get("maxresults"))
	if err != nil {
		most = 5000
	}
	var page azureListing
	for _, name := range slices.Sorted(maps.Keys(a.blobs)) {
		if !strings.HasPrefix(name, query.Get("prefix")) || name < query.Get("marker") {
			continue
		}
		if len(page.Blobs) == most {
			page.Next = name
			break
		}
		blob := a.blobs[name]
		sum := md5.Sum(blob.data)
		at := azureTime(blob.modified)
		page.Blobs = append(page.Blobs, azureListed{Name: name, Created: at, Modified: at, Etag: blob.etag, Length: len(blob.data),
			Sum: base64.StdEncoding.EncodeToString(sum[:]), Type: "BlockBlob"})
	}
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(page)
}

func azureTime(t time.Time) string { return t.UTC().Format(http.TimeFormat) }

// azureRefuse answers with an error as Azure does.
func azureRefuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("x-ms-error-code", code)
	w.WriteHeader(status)
	fmt.Fprintf(w, "<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>played</Message></Error>", code)
}
