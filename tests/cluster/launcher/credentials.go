package launcher

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"strings"
	"time"
)

// users are the clients with a token of their own, so that the audit log tells them apart.
// Groups are those of a cluster set up by kubeadm; kwok plays kubelets and needs no limits.
var users = []struct{ name, group string }{
	{"admin", "system:masters"},
	{"system:kube-controller-manager", ""},
	{"system:kube-scheduler", ""},
	{"kwok", "system:masters"},
	{"system:node:" + machineNode, "system:nodes"},
	{"system:kube-proxy", ""},
	{"name-server", "system:masters"},
}

// writeCredentials writes the certificate authority, the server's certificate, the key that
// signs service account tokens, the token file, and one kubeconfig per user. It returns the
// admin's token.
func writeCredentials(server string, m *machine) (string, error) {
	caKey, ca, err := writeAuthority()
	if err != nil {
		return "", err
	}
	if err := writeServerCertificate(ca, caKey, m); err != nil {
		return "", err
	}
	if err := writeClientCertificate(ca, caKey); err != nil {
		return "", err
	}
	if _, err := writeKey(config("service-accounts.key")); err != nil {
		return "", err
	}

	var tokens strings.Builder
	var admin string
	for _, user := range users {
		token := randomToken()
		fmt.Fprintf(&tokens, "%s,%s,%s,%q\n", token, user.name, user.name, user.group)
		path := config(user.name + ".kubeconfig")
		if user.name == "admin" {
			path, admin = kubeconfigFile, token
		}
		if err := writePrivate(path, kubeconfig(server, ca.Raw, user.name, token)); err != nil {
			return "", err
		}
	}
	return admin, writePrivate(config("tokens.csv"), tokens.String())
}

func writeAuthority() (*ecdsa.PrivateKey, *x509.Certificate, error) {
	key, err := writeKey(config("ca.key"))
	if err != nil {
		return nil, nil, err
	}
	template := certificate("cluster-ca")
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	if err := writePEM(config("ca.crt"), "CERTIFICATE", der); err != nil {
		return nil, nil, err
	}
	ca, err := x509.ParseCertificate(der)
	return key, ca, err
}

func writeServerCertificate(ca *x509.Certificate, caKey *ecdsa.PrivateKey, m *machine) error {
	template := certificate("kube-apiserver")
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.DNSNames = []string{"localhost", "kubernetes.default.svc"}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	if m != nil {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(m.address()), net.ParseIP(m.apiService()))
	}
	return writeSigned("server", template, ca, caKey)
}

// writeClientCertificate is how the API server introduces itself to kubelets: for logs and exec.
func writeClientCertificate(ca *x509.Certificate, caKey *ecdsa.PrivateKey) error {
	template := certificate("kube-apiserver")
	template.Subject.Organization = []string{"system:masters"}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return writeSigned("kubelet-client", template, ca, caKey)
}

// writeSigned makes a key and writes it and its certificate.
func writeSigned(name string, template, ca *x509.Certificate, caKey *ecdsa.PrivateKey) error {
	key, err := writeKey(config(name + ".key"))
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), caKey)
	if err != nil {
		return err
	}
	return writePEM(config(name+".crt"), "CERTIFICATE", der)
}

func certificate(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(1, 0, 0),
	}
}

func writeKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, writePEM(path, "EC PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	return writePrivate(path, string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
}

func writePrivate(path, text string) error { return os.WriteFile(path, []byte(text), 0o600) }

func randomToken() string {
	bytes := make([]byte, 24)
	_, _ = rand.Read(bytes) // never fails, by its contract
	return hex.EncodeToString(bytes)
}

func kubeconfig(server string, ca []byte, user, token string) string {
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca})
	return fmt.Sprintf(`apiVersion: v1
kind: Config
clusters:
- name: cluster
  cluster:
    server: %s
    certificate-authority-data: %s
users:
- name: %q
  user: {token: %s}
contexts:
- name: cluster
  context: {cluster: cluster, user: %q}
current-context: cluster
`, server, base64.StdEncoding.EncodeToString(authority), user, token, user)
}
