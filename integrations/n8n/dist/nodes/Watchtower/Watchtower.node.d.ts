import type { IExecuteFunctions, INodeExecutionData, INodeType, INodeTypeDescription } from 'n8n-workflow';
/** Alerts and events of Watchtower. Its rules decide; this node asks, tells and acts in the name of its key. */
export declare class Watchtower implements INodeType {
    description: INodeTypeDescription;
    execute(this: IExecuteFunctions): Promise<INodeExecutionData[][]>;
}
