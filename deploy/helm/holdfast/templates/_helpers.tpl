{{- define "holdfast.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The release's name, with the chart's unless that is in it already. */}}
{{- define "holdfast.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "holdfast.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "holdfast.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "holdfast.selector" -}}
app.kubernetes.io/name: {{ include "holdfast.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "holdfast.labels" -}}
{{ include "holdfast.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "holdfast.serviceAccount" -}}
{{- default (ternary (include "holdfast.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}

{{- define "holdfast.secret" -}}
{{- default (include "holdfast.fullname" .) .Values.secrets.existingSecret }}
{{- end }}

{{- define "holdfast.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}
{{- end }}

{{- define "holdfast.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
# Makes the files of the secret readable to this user.
fsGroup: 1000
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "holdfast.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Of the init container and of the Job alike. */}}
{{- define "holdfast.migrate" -}}
name: migrate
image: {{ include "holdfast.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [migrate, up{{ if .Values.migrations.newInstallation }}, --new{{ end }}]
{{- if .Values.streams.migrations }}
# Migrations of a project are those of the working directory.
workingDir: /app/project
{{- end }}
env:
  - name: DATABASE_URL_FILE
    value: /run/secrets/holdfast/DATABASE_URL
{{- range $name, $value := .Values.settings }}
{{- if has $name (list "PG_SCHEMA" "DATABASE_DIRECT_URL") }}
  - name: {{ $name }}
    value: {{ $value | toString | quote }}
{{- end }}
{{- end }}
{{- if has "DATABASE_DIRECT_URL" .Values.secrets.files }}
  - name: DATABASE_DIRECT_URL_FILE
    value: /run/secrets/holdfast/DATABASE_DIRECT_URL
{{- end }}
  - name: NODE_COMPILE_CACHE
    value: /tmp/compiled
securityContext:
  {{- include "holdfast.containerSecurity" . | nindent 2 }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
volumeMounts:
  - name: secrets
    mountPath: /run/secrets/holdfast
    readOnly: true
  - name: tmp
    mountPath: /tmp
{{- if .Values.streams.migrations }}
  - name: migrations
    mountPath: /app/project/migrations
    readOnly: true
{{- end }}
{{- end }}
