{#- The `delta` materialisation: rows go to a Delta table through plinth's one door. Everything but the SQL text happens in
    plinth/transform; these macros only ask. -#}

{% macro ask_plinth(question) -%}
    {#- store_relation is dbt-duckdb's way from a macro into its plugin; the answer comes back in the mapping -#}
    {%- do adapter.store_relation('plinth', none, [], '', '', question) -%}
    {{ return(question.get('answer')) }}
{%- endmacro %}

{% macro in_run() -%}
    {#- Whether there is a run to ask: parsing has no connection, and compiling alone (lineage, lint) shows each model for all rows. -#}
    {{ return(execute and flags.WHICH in ('build', 'run', 'test', 'retry')) }}
{%- endmacro %}

{% macro start_run() -%}
    {%- if in_run() -%}
        {%- do ask_plinth({'ask': 'start', 'graph': graph, 'selected': selected_resources}) -%}
    {%- endif -%}
{%- endmacro %}

{% macro publish_run(results) -%}
    {%- if in_run() -%}
        {%- set entries = [] -%}
        {%- for result in results if result.node.resource_type in ('model', 'test') -%}
            {%- set node = result.node -%}
            {#- what fails a test together is published by none of them -#}
            {%- set guards = node.depends_on.nodes if node.resource_type == 'test' else [] -%}
            {%- do entries.append({
                'unique_id': node.unique_id, 'status': result.status.value, 'seconds': result.execution_time,
                'guards': guards, 'message': result.message
            }) -%}
        {%- endfor -%}
        {%- do ask_plinth({'ask': 'publish', 'results': entries}) -%}
    {%- endif -%}
{%- endmacro %}

{% macro changed(relation) -%}
    {#- The rows of an input that changed since this model last read it, with the column _change: insert or delete. -#}
    {%- if in_run() -%}
        {{ ask_plinth({
            'ask': 'watch', 'model': model.unique_id, 'schema': relation.schema, 'name': relation.identifier
        }) }}
    {%- else -%}
        {{ relation }}
    {%- endif -%}
{%- endmacro %}

{% macro touched() -%}
    {#- A call block with the query that says which scopes the changed rows touch. It stands before scoped. -#}
    {%- set sql = caller() -%}
    {%- if in_run() -%}
        {%- do ask_plinth({'ask': 'touched', 'model': model.unique_id, 'sql': sql}) -%}
    {%- endif -%}
{%- endmacro %}

{% macro scoped(relation) -%}
    {#- The rows of an input that have to be read: those of the touched scopes, or all. Scope columns that the input has not go by name
        with the expression that yields them, over its own columns. -#}
    {%- if in_run() -%}
        {{ ask_plinth({
            'ask': 'scoped', 'model': model.unique_id, 'schema': relation.schema, 'name': relation.identifier,
            'expressions': kwargs
        }) }}
    {%- else -%}
        {{ relation }}
    {%- endif -%}
{%- endmacro %}

{% macro generate_schema_name(custom_schema_name, node) -%}
    {#- The layer itself: silver is silver in every environment, the zone roots tell environments apart. -#}
    {{ custom_schema_name or target.schema }}
{%- endmacro %}

{% materialization delta, adapter='duckdb' %}
    {%- set said = ask_plinth({'ask': 'store', 'model': model.unique_id, 'sql': sql}) -%}
    {%- call noop_statement('main', message=said) -%}
        {{ sql }}
    {%- endcall -%}
    {{ return({'relations': [this.incorporate(type='view')]}) }}
{% endmaterialization %}
