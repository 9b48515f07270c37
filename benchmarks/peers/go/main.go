// What listmonk's engine does with a campaign, with Go's standard library alone: templates from html/template and
// text/template, a message built for each recipient, and a pool of connections over net/smtp that are used again.
//
//	sender LIST.csv FOLDER PORT
//
// It keeps no record, cannot resume, and inlines nothing: FOLDER has templates whose styles are inlined already.
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	html "html/template"
	"io"
	"log"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"os"
	"path/filepath"
	"sync"
	text "text/template"
	"time"
)

const (
	connections = 20
	sender      = "news@example.com"
	subject     = "{{ .name }}, Ihr Brief für {{ .month }}"
)

type letter struct {
	to      string
	content []byte
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	list, folder, port := os.Args[1], os.Args[2], os.Args[3]
	page := must(html.ParseFiles(filepath.Join(folder, "newsletter.html.tpl")))
	plain := must(text.ParseFiles(filepath.Join(folder, "newsletter.txt.tpl")))
	title := must(text.New("subject").Parse(subject))

	queue := make(chan letter, 10*connections)
	var pool sync.WaitGroup
	for range make([]struct{}, connections) {
		pool.Add(1)
		go func() {
			defer pool.Done()
			send(queue, "127.0.0.1:"+port)
		}()
	}
	rows := csv.NewReader(must(os.Open(list)))
	names := must(rows.Read())
	for {
		row, err := rows.Read()
		if err == io.EOF {
			break
		}
		must(row, err)
		values := make(map[string]any, len(names)+1)
		for at, name := range names {
			values[name] = row[at]
		}
		var items []map[string]any
		if err := json.Unmarshal([]byte(values["items"].(string)), &items); err != nil {
			log.Fatal(err)
		}
		values["items"] = items
		queue <- letter{values["email"].(string), build(values, title, page, plain)}
	}
	close(queue)
	pool.Wait()
}

func random(octets int) string {
	token := make([]byte, octets)
	must(rand.Read(token))
	return hex.EncodeToString(token)
}

type template interface {
	Execute(io.Writer, any) error
}

func rendered(source template, values map[string]any) []byte {
	var out bytes.Buffer
	if err := source.Execute(&out, values); err != nil {
		log.Fatal(err)
	}
	return out.Bytes()
}

func build(values map[string]any, title, page, plain template) []byte {
	link := "https://example.com/u/" + random(36)
	values["unsubscribe_url"] = link
	var out bytes.Buffer
	parts := multipart.NewWriter(&out)
	to := mail.Address{Name: values["name"].(string), Address: values["email"].(string)}
	from := mail.Address{Name: "Ada's Gazette", Address: sender}
	fmt.Fprintf(&out, "From: %s\r\nTo: %s\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%s@example.com>\r\n",
		from.String(), to.String(), mime.QEncoding.Encode("utf-8", string(rendered(title, values))),
		time.Now().Format(time.RFC1123Z), random(20))
	fmt.Fprintf(&out, "List-Unsubscribe: <%s>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n", link)
	fmt.Fprintf(&out, "MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=%s\r\n\r\n", parts.Boundary())
	write(parts, "text/plain; charset=utf-8", rendered(plain, values))
	write(parts, "text/html; charset=utf-8", rendered(page, values))
	if err := parts.Close(); err != nil {
		log.Fatal(err)
	}
	return out.Bytes()
}

func write(parts *multipart.Writer, kind string, content []byte) {
	header := textproto.MIMEHeader{"Content-Type": {kind}, "Content-Transfer-Encoding": {"quoted-printable"}}
	quoted := quotedprintable.NewWriter(must(parts.CreatePart(header)))
	must(quoted.Write(content))
	if err := quoted.Close(); err != nil {
		log.Fatal(err)
	}
}

func send(queue <-chan letter, address string) {
	var client *smtp.Client
	for one := range queue {
		if client == nil {
			client = must(smtp.Dial(address))
		}
		if err := client.Mail(sender); err != nil {
			log.Fatal(err)
		}
		if err := client.Rcpt(one.to); err != nil {
			log.Fatal(err)
		}
		data := must(client.Data())
		must(data.Write(one.content))
		if err := data.Close(); err != nil {
			log.Fatal(err)
		}
	}
	if client != nil {
		if err := client.Quit(); err != nil {
			log.Fatal(err)
		}
	}
}
