// s3 is a store for tests: one bucket in memory, over TLS, for requests that are signed with one key (Signature Version 4).
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"net/http"

	"github.com/rclone/gofakes3"
	"github.com/rclone/gofakes3/s3mem"
)

func main() {
	bucket := flag.String("bucket", "", "name of the bucket")
	id := flag.String("id", "", "id of the key")
	secret := flag.String("secret", "", "secret of the key")
	certificate := flag.String("certificate", "", "PEM file")
	key := flag.String("key", "", "PEM file")
	flag.Parse()
	backend := s3mem.New()
	if err := backend.CreateBucket(context.Background(), *bucket); err != nil {
		log.Fatal(err)
	}
	server := gofakes3.New(backend, gofakes3.WithV4Auth(map[string]string{*id: *secret})).Server()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("listening on %s", listener.Addr())
	log.Fatal(http.ServeTLS(listener, server, *certificate, *key))
}
